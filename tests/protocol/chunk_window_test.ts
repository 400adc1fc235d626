/** The window of chunks on lines of all kinds: full throughput where the way is long, no queue where it is short. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { ChunkWindow } from "../../lib/protocol/chunk_window.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

interface LineShape {
  /** There and back. */
  roundTripMs: number;
  bytesPerMs: number;
  /** What the receiver or the machine adds to a chunk's way, by chance. */
  delayMs?: () => number;
}

/** A sender with always more to send, on a line that carries one chunk after the other. */
class Line {
  nowMs = 0;
  takenBytes = 0;
  /** How long a byte that is sent now waits for those before it, at most so far. */
  queueMs = 0;
  readonly window = new ChunkWindow({ monotonicMs: () => this.nowMs });
  #freeAtMs = 0;
  #lastToldMs = 0;
  readonly #told: number[] = [];

  constructor(public shape: LineShape) {}

  /** Bytes per ms that the receiver took in the meantime. */
  run(forMs: number): number {
    const [endMs, before] = [this.nowMs + forMs, this.takenBytes];
    this.queueMs = 0;
    while (this.nowMs < endMs) {
      while (this.window.isOpen) this.#send();
      this.nowMs = this.#told.shift()!;
      this.takenBytes += limits.chunkBytesMax;
      this.window.taken(limits.chunkBytesMax);
    }
    return (this.takenBytes - before) / forMs;
  }

  /** All that is on its way arrives. */
  drain(): void {
    for (let atMs = this.#told.shift(); atMs !== undefined; atMs = this.#told.shift()) {
      this.nowMs = atMs;
      this.window.taken(limits.chunkBytesMax);
    }
  }

  #send(): void {
    const { bytesPerMs, roundTripMs, delayMs = () => 0 } = this.shape;
    this.window.sent(limits.chunkBytesMax);
    this.#freeAtMs = Math.max(this.#freeAtMs, this.nowMs) + limits.chunkBytesMax / bytesPerMs;
    this.queueMs = Math.max(this.queueMs, this.#freeAtMs - this.nowMs);
    this.#lastToldMs = Math.max(this.#lastToldMs, this.#freeAtMs + roundTripMs + delayMs());
    this.#told.push(this.#lastToldMs);
  }
}

function randomOf(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed / 2 ** 32;
  };
}

Deno.test("on any line nearly all that it carries goes through, and little lies in its buffers", () => {
  for (const roundTripMs of [0.2, 1, 5, 20, 50, 100, 200]) {
    for (const megabitPerS of [1, 10, 100, 1000]) {
      const bytesPerMs = megabitPerS * 125;
      const line = new Line({ roundTripMs, bytesPerMs });
      const shown = `${roundTripMs} ms, ${megabitPerS} Mbit/s`;
      line.run(9000);
      const carried = Math.min(
        bytesPerMs,
        limits.chunkWindowBytesMax / (roundTripMs + limits.chunkBytesMax / bytesPerMs),
      );
      const share = line.run(20_000) / carried;
      assert.ok(share > 0.8, `${shown}: ${share} of it`);
      const standingBytes = line.queueMs * bytesPerMs;
      const heldBytes = bytesPerMs * roundTripMs + limits.chunkBytesMax;
      const boundBytes = Math.max(limits.chunkWindowBytesMin, 1.25 * heldBytes) + limits.chunkBytesMax;
      assert.ok(standingBytes <= boundBytes, `${shown}: ${Math.round(standingBytes / KiB)} KiB wait`);
    }
  }
});

Deno.test("where the machine is what is slow, the window stays small", () => {
  const random = randomOf(7);
  const line = new Line({ roundTripMs: 0.2, bytesPerMs: 1 * MiB, delayMs: () => 4 * random() ** 2 });
  let windowBytes = 0;
  for (let at = 0; at < 3000; at++) {
    line.run(10);
    windowBytes += line.window.bytes / 3000;
  }
  assert.ok(windowBytes < 1.1 * limits.chunkWindowBytesMin, `${Math.round(windowBytes / KiB)} KiB`);
});

Deno.test("a line that becomes longer, or shorter, is known after some seconds", () => {
  const line = new Line({ roundTripMs: 20, bytesPerMs: 12_500 });
  line.run(5000);
  for (const roundTripMs of [80, 5]) {
    line.shape = { roundTripMs, bytesPerMs: 12_500 };
    line.run(13_000);
    const share = line.run(5000) / 12_500;
    assert.ok(share > 0.8, `${roundTripMs} ms: ${share} of it`);
  }
  assert.ok(
    line.window.bytes < 3 * limits.chunkWindowBytesMin,
    "what was right for the long line is too much now",
  );
});

Deno.test("a pause costs a long line nothing", () => {
  const line = new Line({ roundTripMs: 50, bytesPerMs: 12_500 });
  line.run(5000);
  line.drain();
  line.nowMs += 60_000;
  const share = line.run(1000) / 12_500;
  assert.ok(share > 0.8, `${share} of it`);
});

Deno.test("the small end of a frame, told with the next one only, says nothing of the line", () => {
  const line = new Line({ roundTripMs: 50, bytesPerMs: 12_500 });
  line.run(5000);
  line.drain();
  const windowBytes = line.window.bytes;
  while (line.window.isOpen) line.window.sent(limits.chunkBytesMax - 1);
  line.nowMs += 3000;
  line.window.taken(2 * windowBytes);
  assert.equal(line.window.bytes, windowBytes);
  assert.ok(windowBytes > 4 * limits.chunkWindowBytesMin);
});

Deno.test("what the receiver tells late, or of more than was sent, neither closes nor opens the window for good", () => {
  let nowMs = 0;
  const window = new ChunkWindow({ monotonicMs: () => nowMs });
  for (let body = 0; body < 100; body++) {
    // The last chunk is small: it is told with the next body's first.
    for (const bytes of [limits.chunkBytesMax, limits.chunkBytesMax, 1000]) {
      assert.ok(window.isOpen);
      window.sent(bytes);
      if (bytes === limits.chunkBytesMax) window.taken(bytes + (body > 0 ? 500 : 0));
    }
    nowMs += 60_000;
  }
  window.taken(1 << 30);
  let chunks = 0;
  for (; window.isOpen && chunks < 1000; chunks++) window.sent(limits.chunkBytesMax);
  assert.equal(chunks, limits.chunkWindowBytesMin / limits.chunkBytesMax);
});

/** A unix socket in memory, between a simulated agent and its runner: bytes in order, bounded, a moment late. */
import type { ByteStream } from "../../lib/hosting/frame_socket.ts";
import type { Slab } from "./slab.ts";
import type { SimulatedProcess, Timeline } from "./timeline.ts";

const bufferBytes = 208 * 1024;
const delayMs = 0.1;

class PipeEnd implements ByteStream {
  peer!: PipeEnd;
  #chunks: Uint8Array[] = [];
  #unread = 0;
  #ended = false;
  #reader: { into: Uint8Array; resolve(count: number | null): void } | null = null;
  #writer: (() => void) | null = null;

  constructor(readonly timeline: Timeline, readonly slab: Slab, readonly process: SimulatedProcess) {}

  read(into: Uint8Array): Promise<number | null> {
    return new Promise((resolve) => {
      this.#reader = { into, resolve };
      this.#serve();
    });
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#ended || this.process.state === "dead") return Promise.reject(new Error("broken pipe"));
    const chunk = this.slab.copy(bytes);
    const { peer } = this;
    peer.#unread += chunk.length;
    this.timeline.after(delayMs, () => {
      if (peer.#ended) return;
      peer.#chunks.push(chunk);
      peer.process.run(() => peer.#serve());
    });
    if (peer.#unread <= bufferBytes) return Promise.resolve(chunk.length);
    return new Promise((resolve) => peer.#writer = () => resolve(chunk.length));
  }

  close(): void {
    if (this.#ended) return;
    this.#end();
    this.timeline.after(delayMs, () => this.peer.#end());
  }

  #end(): void {
    this.#ended = true;
    this.process.run(() => this.#serve());
  }

  #serve(): void {
    const reader = this.#reader;
    if (reader === null) return;
    if (this.#chunks.length > 0) {
      const [chunk] = this.#chunks;
      const count = Math.min(chunk.length, reader.into.length);
      reader.into.set(chunk.subarray(0, count));
      if (count === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(count);
      this.#unread -= count;
      this.#reader = null;
      if (this.#writer !== null && this.#unread <= bufferBytes) this.#writer();
      reader.resolve(count);
    } else if (this.#ended) {
      this.#reader = null;
      reader.resolve(null);
    }
  }
}

export function createPipe(
  timeline: Timeline,
  slab: Slab,
  left: SimulatedProcess,
  right: SimulatedProcess,
): { left: ByteStream; right: ByteStream } {
  const ends = { left: new PipeEnd(timeline, slab, left), right: new PipeEnd(timeline, slab, right) };
  ends.left.peer = ends.right;
  ends.right.peer = ends.left;
  return ends;
}

/**
 * How many bytes of chunks may be on their way on one connection: as many as the line holds, and no more, since what
 * lies in buffers delays every small frame behind it. From `chunkWindowBytesMin` on it follows the bandwidth-delay
 * product, as measured once per round trip: what was taken meanwhile, at the pace of the fastest round trip known.
 * (After Cardwell et al., "BBR: congestion-based congestion control", 2016; TCP still decides what the network gets.)
 * The invariant: it is never below two whole chunks, so what the receiver has not told yet can't end a transfer.
 */
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";

/** A window that was right stays; one that was too small grows by this with each round trip. */
const growth = 1.25;
/** After so long in use the line may be another: the fastest round trip is measured anew, with the smallest window. */
const fastestKeptMs = 10_000;

/** A round trip under way: from when a chunk filled the window until it has been taken. */
interface Round {
  readonly startedMs: number;
  /** `#takenBytes` when it began, and when that chunk is taken. */
  readonly fromBytes: number;
  readonly toBytes: number;
}

export class ChunkWindow {
  readonly #clock: Pick<Clock, "monotonicMs">;
  #bytes: number = limits.chunkWindowBytesMin;
  #sentBytes = 0;
  #takenBytes = 0;
  #round: Round | null = null;
  #fastestMs = Infinity;
  /** Round trips since that one, all together: a pause says nothing of the line. */
  #sinceFastestMs = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Another chunk may go. */
  get isOpen(): boolean {
    return this.#sentBytes - this.#takenBytes < this.#bytes;
  }

  /** A chunk of so many bytes, its header included, goes out. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
    // What is taken of a smaller one may be told much later.
    if (this.#round !== null || this.isOpen || bytes < limits.chunkBytesMax) return;
    this.#round = {
      startedMs: this.#clock.monotonicMs(),
      fromBytes: this.#takenBytes,
      toBytes: this.#sentBytes,
    };
  }

  /** The receiver tells that it has taken so many more. */
  taken(bytes: number): void {
    this.#takenBytes = Math.min(this.#sentBytes, this.#takenBytes + bytes);
    const round = this.#round;
    if (round === null || this.#takenBytes < round.toBytes) return;
    this.#round = null;
    const tookMs = this.#clock.monotonicMs() - round.startedMs;
    this.#sinceFastestMs += tookMs;
    if (tookMs <= this.#fastestMs) {
      this.#fastestMs = tookMs;
      this.#sinceFastestMs = 0;
    }
    if (this.#sinceFastestMs > fastestKeptMs) {
      this.#fastestMs = Infinity;
      this.#sinceFastestMs = 0;
      this.#bytes = limits.chunkWindowBytesMin;
      return;
    }
    const held = (this.#takenBytes - round.fromBytes) * (tookMs > 0 ? this.#fastestMs / tookMs : 1);
    this.#bytes = Math.min(limits.chunkWindowBytesMax, Math.max(limits.chunkWindowBytesMin, growth * held));
  }
}

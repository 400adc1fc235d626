/**
 * Many deadlines, one timer: requests are put into buckets of 25 ms and a single timer follows the earliest one
 * (a hashed timing wheel: Varghese and Lauck, SOSP 1987). Adding and removing cost O(1); a deadline is seen
 * up to one bucket late and never early.
 */
import type { Clock } from "../clock.ts";

const bucketMs = 25;

export class Deadlines<Key> {
  readonly #clock: Clock;
  readonly #onDue: (key: Key) => void;
  readonly #buckets = new Map<number, Set<Key>>();
  #timer: { bucket: number; cancel: () => void } | null = null;

  constructor(clock: Clock, onDue: (key: Key) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Returns the bucket, which `remove` wants back. `atMs` is monotonic time. */
  add(key: Key, atMs: number): number {
    const bucket = Math.ceil(atMs / bucketMs);
    const keys = this.#buckets.get(bucket);
    if (keys) {
      keys.add(key);
      return bucket;
    }
    this.#buckets.set(bucket, new Set([key]));
    if (!this.#timer || bucket < this.#timer.bucket) this.#arm(bucket);
    return bucket;
  }

  remove(key: Key, bucket: number): void {
    const keys = this.#buckets.get(bucket);
    if (!keys?.delete(key) || keys.size > 0) return;
    this.#buckets.delete(bucket);
    if (this.#buckets.size === 0) this.clear();
  }

  clear(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#buckets.clear();
  }

  #arm(bucket: number): void {
    this.#timer?.cancel();
    const delayMs = Math.max(0, bucket * bucketMs - this.#clock.monotonicMs());
    this.#timer = { bucket, cancel: this.#clock.after(delayMs, () => this.#fire()) };
  }

  #fire(): void {
    this.#timer = null;
    // A long delay is cut by the clock, so what is due is decided by the time, not by the timer.
    const dueBucket = Math.floor(this.#clock.monotonicMs() / bucketMs + 1e-6);
    let earliest = Infinity;
    for (const [bucket, keys] of [...this.#buckets]) {
      if (bucket > dueBucket) {
        earliest = Math.min(earliest, bucket);
        continue;
      }
      this.#buckets.delete(bucket);
      for (const key of keys) this.#onDue(key);
    }
    if (earliest === Infinity || this.#buckets.size === 0) return;
    // `onDue` may have added an earlier one, which then armed the timer already.
    const armed = (this.#timer as { bucket: number } | null)?.bucket ?? Infinity;
    if (earliest < armed) this.#arm(earliest);
  }
}

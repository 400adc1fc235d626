/**
 * The buckets of a latency histogram where there are many of them and each sees a narrow range: only the part between
 * the lowest and the highest bucket in use is kept. From requests → here → a `Histogram` when somebody asks.
 * Invariant: memory grows with the range of values, by steps, and never beyond a histogram's.
 */
import { bucketOf, type Histogram } from "./histogram.ts";

/** By so many buckets it grows: 32 of them span a factor of about two. */
const step = 32;

export class SparseCounts {
  /** Of the buckets from `#first`, a multiple of `step`, on. */
  #counts = new Uint32Array(0);
  #first = 0;

  /** Counts one value in µs, in the bucket that a histogram has it in. */
  observe(us: number): void {
    const bucket = bucketOf(us);
    if (bucket < this.#first || bucket >= this.#first + this.#counts.length) this.#grow(bucket);
    this.#counts[bucket - this.#first]++;
  }

  /** How many buckets it has room for. */
  get length(): number {
    return this.#counts.length;
  }

  addTo(histogram: Histogram): void {
    const buckets: Record<string, number> = {};
    this.#counts.forEach((count, at) => {
      if (count > 0) buckets[this.#first + at] = count;
    });
    histogram.merge(buckets);
  }

  #grow(bucket: number): void {
    const aligned = bucket - bucket % step;
    const isEmpty = this.#counts.length === 0;
    const first = isEmpty ? aligned : Math.min(this.#first, aligned);
    const end = Math.max(isEmpty ? 0 : this.#first + this.#counts.length, aligned + step);
    const counts = new Uint32Array(end - first);
    if (!isEmpty) counts.set(this.#counts, this.#first - first);
    this.#counts = counts;
    this.#first = first;
  }
}

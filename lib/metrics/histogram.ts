/**
 * A mergeable latency histogram: counts of µs in buckets whose widths grow with the value, so that every
 * quantile is right within 1 %. Filled by agents (run times), the manager (queue and run) and `client bench`.
 * Invariant: `observe()` allocates nothing; memory is fixed, about 10 KB.
 *
 * The algorithm is DDSketch: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
 * relative-error guarantees", VLDB 2019 (vldb.org/pvldb/vol12/p2195-masson.pdf).
 */
import { bestOrder, BitReader, BitWriter } from "./bits.ts";

/** The promised relative error of a quantile. */
const relativeError = 0.01;
/** Bucket i (from 1) holds the values in (growth^(i-1), growth^i]; the middle of it is within 1 % of all of them. */
const growth = (1 + relativeError) / (1 - relativeError);
const inverseLogGrowth = 1 / Math.log(growth);
/** Values above 10 hours share the last bucket, the only one whose error isn't bounded. */
const bucketsMax = unboundedBucketOf(10 * 3600 * 1e6) + 1;
/** What each bucket is read as, µs. */
const bucketValues = Float64Array.from({ length: bucketsMax }, (_, bucket) => valueOf(bucket));

/** Sparse wire form: bucket number → count. */
export type HistogramBuckets = Record<string, number>;
/** Storage form, a tenth as long: see `encode()`. */
export type HistogramBytes = Uint8Array;
/**
 * Storage form of databases up to format 3: each bucket's distance from the one before in base 36, and behind a colon
 * how many values it holds when that is more than one: "5k,1:3,1".
 */
export type HistogramText = string;

/** Shared by all, since one is encoded at a time. */
const writer = new BitWriter();
const steps: number[] = [];
const counts: number[] = [];

export class Histogram {
  readonly #counts = new Float64Array(bucketsMax);
  #count = 0;
  /** The touched buckets are within [low, high], so that clearing and reading stay short. */
  #low = bucketsMax;
  #high = -1;

  /** How many values it has seen. */
  get count(): number {
    return this.#count;
  }

  /** Counts one value in µs; fractions are rounded, what is negative or no number counts as 0. */
  observe(us: number): void {
    this.#add(bucketOf(us), 1);
  }

  /** Adds another histogram's values, or those of one of its other forms; unknown buckets of a newer program count as the last. */
  merge(other: Histogram | HistogramBuckets | HistogramBytes | HistogramText): void {
    if (typeof other === "string") return this.#mergeText(other);
    if (other instanceof Uint8Array) return this.#mergeBytes(other);
    if (other instanceof Histogram) {
      for (let bucket = other.#low; bucket <= other.#high; bucket++) {
        if (other.#counts[bucket] > 0) this.#add(bucket, other.#counts[bucket]);
      }
      return;
    }
    for (const key in other) {
      const bucket = Math.trunc(Number(key));
      const count = other[key];
      if (bucket >= 0 && count > 0) this.#add(Math.min(bucket, bucketsMax - 1), count);
    }
  }

  /** The value in µs that a share `q` (0 to 1) of all values doesn't exceed, within 1 %; undefined while empty. */
  quantile(q: number): number | undefined {
    if (this.#count === 0) return undefined;
    // The rank of the paper: 0 is the smallest value, count - 1 the largest.
    const rank = Math.floor(Math.min(1, Math.max(0, q)) * (this.#count - 1));
    let seen = 0;
    for (let bucket = this.#low; bucket <= this.#high; bucket++) {
      seen += this.#counts[bucket];
      if (seen > rank) return bucketValues[bucket];
    }
    return bucketValues[this.#high];
  }

  /** How many values are above `us`, by what their buckets are read as. */
  countAbove(us: number): number {
    let above = 0;
    for (let bucket = this.#high; bucket >= this.#low && bucketValues[bucket] > us; bucket--) {
      above += this.#counts[bucket];
    }
    return above;
  }

  clear(): void {
    if (this.#high >= 0) this.#counts.fill(0, this.#low, this.#high + 1);
    this.#count = 0;
    this.#low = bucketsMax;
    this.#high = -1;
  }

  toJSON(): HistogramBuckets {
    const buckets: HistogramBuckets = {};
    for (let bucket = this.#low; bucket <= this.#high; bucket++) {
      if (this.#counts[bucket] > 0) buckets[bucket] = this.#counts[bucket];
    }
    return buckets;
  }

  /**
   * For each bucket in use its distance from the one before and how many values it holds, both from 0, as Exp-Golomb
   * codes of two orders that the first byte names. About 5 bits a bucket; nothing when it is empty.
   */
  encode(): HistogramBytes {
    steps.length = counts.length = 0;
    let last = -1;
    for (let bucket = this.#low; bucket <= this.#high; bucket++) {
      if (this.#counts[bucket] === 0) continue;
      steps.push(bucket - last - 1);
      counts.push(this.#counts[bucket] - 1);
      last = bucket;
    }
    writer.clear();
    if (steps.length === 0) return writer.take();
    const [stepOrder, countOrder] = [bestOrder(steps), bestOrder(counts)];
    writer.put(stepOrder, 4);
    writer.put(countOrder, 4);
    for (const [at, step] of steps.entries()) {
      writer.putGolomb(step, stepOrder);
      writer.putGolomb(counts[at], countOrder);
    }
    return writer.take();
  }

  #mergeBytes(bytes: HistogramBytes): void {
    if (bytes.length === 0) return;
    const reader = new BitReader(bytes);
    const [stepOrder, countOrder] = [reader.take(4), reader.take(4)];
    let bucket = -1;
    for (;;) {
      const step = reader.takeGolomb(stepOrder);
      const count = step === undefined ? undefined : reader.takeGolomb(countOrder);
      if (count === undefined) return;
      bucket += step! + 1;
      this.#add(Math.min(bucket, bucketsMax - 1), count + 1);
    }
  }

  #mergeText(text: HistogramText): void {
    if (text === "") return;
    let bucket = 0;
    for (const part of text.split(",")) {
      const [step, count = "1"] = part.split(":");
      bucket += Number.parseInt(step, 36);
      const values = Number.parseInt(count, 36);
      if (bucket >= 0 && values > 0) this.#add(Math.min(bucket, bucketsMax - 1), values);
    }
  }

  /** A histogram of what `toJSON()` made, also when it crossed the network. */
  static fromJSON(buckets: HistogramBuckets): Histogram {
    const histogram = new Histogram();
    histogram.merge(buckets);
    return histogram;
  }

  #add(bucket: number, count: number): void {
    this.#counts[bucket] += count;
    this.#count += count;
    if (bucket < this.#low) this.#low = bucket;
    if (bucket > this.#high) this.#high = bucket;
  }
}

/** The bucket of a value in µs; fractions are rounded, what is negative or no number is in bucket 0. */
export function bucketOf(us: number): number {
  return us >= 0.5 ? Math.min(unboundedBucketOf(us), bucketsMax - 1) : 0;
}

/** 0 is bucket 0; 1 µs is bucket 1. */
function unboundedBucketOf(us: number): number {
  const whole = Math.round(us);
  return whole === 0 ? 0 : Math.ceil(Math.log(whole) * inverseLogGrowth - 1e-9) + 1;
}

/** The middle of a bucket by relative error; 0 for bucket 0. */
function valueOf(bucket: number): number {
  if (bucket === 0) return 0;
  return Math.round(2 * growth ** (bucket - 1) / (growth + 1) * 1000) / 1000;
}

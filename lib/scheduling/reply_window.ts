/**
 * Sums over the replies of a while: what `capacity` decides by. Pure.
 * On the way: a reply → `capacity` → here. A reply costs a few additions and no memory.
 */

/** So long and so many replies at least: fewer say more of chance than of the replica. */
const windowMsMin = 25;
const samplesMin = 12;
const samplesMinHasty = 2;
const samplesEnough = 256;
/** A window with so many of its replies from taken slots is one in which more slots would have been used. */
const fullShare = 0.8;
/** Those that take this long have to do with fewer. */
const longMs = 1000;
/** After such a time without a reply that nobody waited for either, what was before says nothing of now. */
const silenceMs = 2000;
/** One odd run must not make every window after it as long as itself. */
const longestOfMean = 8;

export class ReplyWindow {
  samples = 0;
  /** The most that were outstanding with a reply. */
  peak = 0;
  shortestWaitMs = Infinity;
  isClosed = false;
  isPatient = false;
  #fullSamples = 0;
  #roundTripsMs = 0;
  #runsUs = 0;
  #runsUsSquared = 0;
  /** Of the windows before at first, halved with each. */
  #longestRunUs = 0;

  #startMs = -1;
  /** The reply that a window started with came before its time, so to say. */
  #uncounted = 0;
  #endMs = 0;
  #lastMs = 0;
  #wanted = samplesMinHasty;
  /** Replies to what was dispatched before, or that come before, don't count. */
  #dispatchedSinceMs = -Infinity;
  #repliedSinceMs = -Infinity;

  /** True: the window is whole, and its means can be read until `next` or `restart`. */
  add(roundTripMs: number, runUs: number, outstanding: number, full: boolean, nowMs: number): boolean {
    if (nowMs < this.#repliedSinceMs || nowMs - roundTripMs < this.#dispatchedSinceMs) return false;
    if (nowMs - this.#lastMs > silenceMs && this.samples > 0) this.#silence(roundTripMs);
    if (this.#startMs < 0) {
      this.#open(nowMs);
      this.#uncounted = 1;
    }
    this.samples++;
    this.#roundTripsMs += roundTripMs;
    this.#runsUs += runUs;
    this.#runsUsSquared += runUs * runUs;
    if (full) this.#fullSamples++;
    const waitMs = Math.max(0, roundTripMs - runUs / 1000);
    if (waitMs < this.shortestWaitMs) this.shortestWaitMs = waitMs;
    if (outstanding > this.peak) this.peak = outstanding;
    if (runUs > this.#longestRunUs) this.#longestRunUs = runUs;
    this.#lastMs = nowMs;
    if (nowMs < this.#endMs) return false;
    const isLong = this.samples >= samplesMin && nowMs - this.#startMs >= longMs;
    return this.isClosed = isLong || this.samples >= this.#wanted;
  }

  get isFull(): boolean {
    return this.#fullSamples >= fullShare * this.samples;
  }

  get elapsedMs(): number {
    return Math.max(this.#lastMs - this.#startMs, 1e-3);
  }

  get perMs(): number {
    return (this.samples - this.#uncounted) / this.elapsedMs;
  }

  get roundTripMs(): number {
    return Math.max(this.#roundTripsMs / this.samples, 1e-3);
  }

  get runMs(): number {
    return this.#runsUs / 1000 / this.samples;
  }

  /** The standard error of `runMs`, squared: how far it may be off by chance. */
  get runError2(): number {
    const { samples, runMs } = this;
    if (samples < 2) return runMs * runMs;
    return Math.max(0, this.#runsUsSquared / 1e6 / samples - runMs * runMs) / (samples - 1);
  }

  /** What of the round trip was not the run: network, batching, queues. */
  get waitMs(): number {
    return Math.max(0, this.roundTripMs - this.runMs);
  }

  /** Goes on under the same limit. */
  next(nowMs: number, slots: number): void {
    this.#clear();
    this.#want(slots, true);
    this.#open(nowMs);
  }

  /**
   * Starts anew under another limit, after `patience` times the longest run: at first only the short requests
   * come back, and a queue takes its time to grow.
   */
  restart(nowMs: number, slots: number, patience: number): void {
    this.#clear();
    this.#want(slots, patience > 0);
    this.#startMs = -1;
    this.#dispatchedSinceMs = nowMs;
    this.#endMs = nowMs + windowMsMin;
    this.#repliedSinceMs = nowMs + patience * this.#longestRunUs / 1000;
  }

  #open(nowMs: number): void {
    this.#startMs = nowMs;
    if (!this.isPatient) return;
    this.#endMs = nowMs + Math.max(windowMsMin, this.#longestRunUs / 1000);
    this.#longestRunUs /= 2;
  }

  #want(slots: number, patient: boolean): void {
    this.isPatient = patient;
    this.#wanted = patient
      ? Math.max(samplesMin, Math.min(samplesEnough, 3 * slots))
      : Math.max(samplesMinHasty, Math.min(samplesEnough, slots >> 1));
  }

  #silence(roundTripMs: number): void {
    if (roundTripMs >= silenceMs) return;
    this.#clear();
    this.#startMs = -1;
  }

  #clear(): void {
    if (this.samples > 0) {
      this.#longestRunUs = Math.min(this.#longestRunUs, longestOfMean * this.#runsUs / this.samples);
    }
    this.samples = this.#fullSamples = this.#uncounted = 0;
    this.#roundTripsMs = this.#runsUs = this.#runsUsSquared = 0;
    this.peak = 0;
    this.shortestWaitMs = Infinity;
    this.isClosed = false;
  }
}

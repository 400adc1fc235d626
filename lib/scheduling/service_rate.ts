/**
 * How fast requests are served, and how long each takes, as measured of late: what admission foretells waits from.
 * Pure state without allocation per request. On the way: a slot taken or given back, a reply → here → `admission`.
 * A queue of known length in front of servers of known rate is the best predictor of its wait (Ibrahim, Whitt,
 * "Real-time delay estimation based on delay history", 2009); the rate counts only while every slot is in use, so that
 * it says what is possible (Little's law), also where requests slow each other down.
 */

/** A window ends after this time in use and so many departures; the one before counts as well. */
const windowMs = 1000;
const windowDepartures = 32;
/** Fewer say nothing. */
const departuresMin = 2;
/** What has not been full for so long may have become another. */
const staleMs = 10_000;

/** The departures of one replica while all of its slots are in use. */
export class ServiceRate {
  #count = 0;
  #fullMs = 0;
  #countBefore = 0;
  #fullMsBefore = 0;
  #isFull = false;
  /** The last departure, or the last free slot taken. */
  #lastMs = -Infinity;

  /** A slot is taken; `isFull`: none is left. */
  take(nowMs: number, isFull: boolean): void {
    if (!isFull || this.#isFull) return;
    if (nowMs - this.#lastMs > staleMs) {
      this.#count =
        this.#fullMs =
        this.#countBefore =
        this.#fullMsBefore =
          0;
    }
    this.#isFull = true;
    this.#lastMs = nowMs;
  }

  /**
   * A slot is given back; `isFull`: even so none is free. `served`: its request was run to its end and wanted. What is
   * cancelled gives its slot back quickly, and would make a queue of late requests seem to be a quick one.
   */
  giveBack(nowMs: number, isFull: boolean, served: boolean): void {
    if (this.#isFull) {
      if (served) this.#count++;
      this.#fullMs += nowMs - this.#lastMs;
      this.#lastMs = nowMs;
      if (this.#fullMs >= windowMs && this.#count >= windowDepartures) this.#turn();
    }
    this.#isFull = isFull;
  }

  /** How many departures `perMs` is from. */
  get departures(): number {
    return this.#count + this.#countBefore;
  }

  /** Departures per ms with all slots in use; 0: not known. */
  perMs(nowMs: number): number {
    const count = this.#count + this.#countBefore;
    // What has departed nothing for long is slow, though nothing departs to say so.
    const fullMs = this.#fullMs + this.#fullMsBefore + (this.#isFull ? nowMs - this.#lastMs : 0);
    return count >= departuresMin && fullMs > 0 ? count / fullMs : 0;
  }

  #turn(): void {
    this.#countBefore = this.#count;
    this.#fullMsBefore = this.#fullMs;
    this.#count = this.#fullMs = 0;
  }
}

/** Of the last replies, about so many count. */
export const repliesRemembered = 16;
/** Allows for all but a few in a thousand of a bell curve, and for 98 % of an exponential's. */
const deviationsAllowed = 4;
/** A mean deviation of a bell curve is so much less than its standard deviation. */
const standardPerMean = 1.25;

/** Mean and deviation of round trips (Jacobson, "Congestion avoidance and control", 1988; RFC 6298). */
export class RoundTrip {
  meanMs = 0;
  #deviationMs = 0;
  #seen = 0;

  observe(ms: number): void {
    if (this.#seen < repliesRemembered) this.#seen++;
    const off = ms - this.meanMs;
    this.meanMs += off / this.#seen;
    if (this.#seen > 1) this.#deviationMs += (Math.abs(off) - this.#deviationMs) / (this.#seen - 1);
  }

  /** Hardly one takes longer. */
  get boundMs(): number {
    return this.meanMs + deviationsAllowed * this.#deviationMs;
  }

  /** Standard deviation as a share of the mean: 0 for what always takes the same, 1 for an exponential. */
  get variation(): number {
    return this.meanMs === 0 ? 1 : Math.min(variationMax, standardPerMean * this.#deviationMs / this.meanMs);
  }
}

const variationMax = 2;
/** 999 of 1000 are below the mean and so many standard deviations: a full queue is let in by the best of many guesses. */
const deviations999 = 3.1;

/**
 * How long a request usually waits with so many before it while all slots are in use. The first departure is half a
 * service away, or more when they vary (Khinchine, "Mathematical theory of a stationary queue", 1932).
 */
export function usualWaitMs(ahead: number, servedPerMs: number, variation: number): number {
  return (ahead + (1 + variation * variation) / 2) / servedPerMs;
}

/**
 * What hardly one in 1000 stays above: the sum of so many services has the variance of so many, and a rate from so many
 * departures is as uncertain.
 */
export function longWaitMs(
  ahead: number,
  servedPerMs: number,
  variation: number,
  departures: number,
): number {
  const usualMs = usualWaitMs(ahead, servedPerMs, variation);
  return usualMs * (1 + deviations999 * variation * Math.sqrt(1 / Math.max(1, ahead) + 1 / departures));
}

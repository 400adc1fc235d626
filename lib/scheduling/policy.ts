/**
 * Which replica is next? Pure. On the way: queue or admission → here → dispatch.
 * The better of two at random (Mitzenmacher, "The power of two choices in randomized load balancing", 2001): the price
 * is the same for 2 replicas and for 100, and many requests at once don't herd to one. Better is less outstanding
 * relative to capacity, weighed by run time, so the slow and the hot get less.
 * The invariants: never a replica without a free slot; if any has one, one is found. docs/decisions/0010 has figures.
 */
import type { Random } from "../random.ts";

/** What choosing needs to know of a replica. */
export interface Candidate {
  /** False: suspect, gone, or it has just given a request back. */
  readonly available: boolean;
  readonly slots: number;
  readonly outstanding: number;
  /** Of those, as many as wait for a request of their own: their slots are there for such requests. */
  readonly lent: number;
  /** Smoothed run time in µs; 0: none observed. */
  readonly runUs: number;
  /** When that was last observed, monotonic ms. */
  readonly runObservedMs: number;
}

/** An observed run time says nothing any more after this long, and a slow replica gets its next chance. */
const observationMsMax = 10_000;
/** Slower than the other by less than this is noise; by more counts, up to `slownessMax`. */
const slownessTolerated = 1.5;
const slownessMax = 4;
/** Weight of a new run time, as in Jacobson, "Congestion avoidance and control" (1988). */
const runWeight = 1 / 8;

/** `isNested`: for a request of a module, which may have a slot that is lent. */
export function isFree(candidate: Candidate, isNested = false): boolean {
  const taken = isNested ? candidate.outstanding - candidate.lent : candidate.outstanding;
  return candidate.available && taken < candidate.slots;
}

/** The better of two candidates at random; another with a free slot when neither has one; null: none has. */
export function choose<C extends Candidate>(
  candidates: readonly C[],
  nowMs: number,
  random: Random,
  isNested = false,
): C | null {
  const count = candidates.length;
  if (count < 2) return count === 1 && isFree(candidates[0], isNested) ? candidates[0] : null;
  // One draw for both, and for which goes first when they are equals.
  const pair = Math.floor(random.next() * count * (count - 1));
  const first = pair % count;
  const second = (first + 1 + Math.floor(pair / count)) % count;
  const one = candidates[first];
  const other = candidates[second];
  if (isFree(one, isNested)) return isFree(other, isNested) && isBetter(other, one, nowMs) ? other : one;
  if (isFree(other, isNested)) return other;
  // From a random place on, so that the last free ones are not always asked in the same order.
  for (let index = second + 1; index < second + count; index++) {
    const candidate = candidates[index < count ? index : index - count];
    if (isFree(candidate, isNested)) return candidate;
  }
  return null;
}

/** The smoothed run time after one more run of `runUs`. */
export function smoothRunUs(smoothedUs: number, runUs: number): number {
  return smoothedUs === 0 ? runUs : smoothedUs + runWeight * (runUs - smoothedUs);
}

function isObserved(candidate: Candidate, nowMs: number): boolean {
  return candidate.runUs > 0 && nowMs - candidate.runObservedMs <= observationMsMax;
}

function isBetter(one: Candidate, other: Candidate, nowMs: number): boolean {
  let load = (one.outstanding + 1) * other.slots;
  let otherLoad = (other.outstanding + 1) * one.slots;
  if (isObserved(one, nowMs) && isObserved(other, nowMs)) {
    if (one.runUs > other.runUs) load *= slowness(one.runUs / other.runUs);
    else otherLoad *= slowness(other.runUs / one.runUs);
  }
  return load < otherLoad;
}

/** 1 for the usual, up to `slownessMax` for a replica that takes so many `times` as long as the other. */
function slowness(times: number): number {
  return Math.min(slownessMax, Math.max(1, times / slownessTolerated));
}

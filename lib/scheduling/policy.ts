/**
 * Which replica is next? Pure. On the way: queue or admission → here → dispatch.
 * Of a few replicas from a random one on, the one with least to do (Mitzenmacher, "The power of two choices in
 * randomized load balancing", 2001): nearly as good as looking at all, at a cost that doesn't grow with their number.
 * Least to do is outstanding relative to capacity, weighed by run times, so that the slow and the hot get less.
 * The invariants: never a replica without a free slot; and if there is one with, one is found.
 */
import type { Random } from "../random.ts";

/** What choosing needs to know of a replica. */
export interface Candidate {
  /** False: suspect, gone, or it has just given a request back. */
  readonly available: boolean;
  readonly slots: number;
  readonly outstanding: number;
  /** Smoothed run time in µs; 0: none observed. */
  readonly runUs: number;
  /** When that was last observed, monotonic ms. */
  readonly runObservedMs: number;
}

/** Two would do; the third brings the p99 near that of looking at all (docs/decisions/0010). */
const choices = 3;
/** An observed run time says nothing any more after this long, and a slow replica gets its next chance. */
const observationMsMax = 10_000;
/** Slower than the other by less than this is noise; by more counts, up to `slownessMax`. */
const slownessTolerated = 1.5;
const slownessMax = 4;
/** Weight of a new run time, as in Jacobson, "Congestion avoidance and control" (1988). */
const runWeight = 1 / 8;

export function isFree(candidate: Candidate): boolean {
  return candidate.outstanding < candidate.slots && candidate.available;
}

/** The best of `choices` with a free slot, or of as many as there are; null: none has one. */
export function choose<C extends Candidate>(
  candidates: readonly C[],
  nowMs: number,
  random: Random,
): C | null {
  const { length } = candidates;
  let best: C | null = null;
  let seen = 0;
  // One random start and then the next ones in the list: as good as several random ones, and no free one is missed.
  let index = length === 1 ? 0 : Math.floor(random.next() * length);
  for (let left = length; left > 0; left--) {
    const candidate = candidates[index];
    if (isFree(candidate)) {
      if (best === null || isBetter(candidate, best, nowMs)) best = candidate;
      if (++seen === choices) break;
    }
    if (++index === length) index = 0;
  }
  return best;
}

/** The smoothed run time after one more run of `runUs`. */
export function smoothRunUs(smoothedUs: number, runUs: number): number {
  return smoothedUs === 0 ? runUs : smoothedUs + runWeight * (runUs - smoothedUs);
}

function isBetter(one: Candidate, other: Candidate, nowMs: number): boolean {
  const slowness = slownessOf(one, other, nowMs);
  // (outstanding + 1) / slots, without the divisions.
  return (one.outstanding + 1) * other.slots * slowness < (other.outstanding + 1) * one.slots;
}

/** How much longer `one` takes than `other`: 1 for about the same or not known, at most `slownessMax` either way. */
function slownessOf(one: Candidate, other: Candidate, nowMs: number): number {
  if (one.runUs === 0 || other.runUs === 0) return 1;
  if (Math.min(one.runObservedMs, other.runObservedMs) < nowMs - observationMsMax) return 1;
  if (one.runUs > other.runUs * slownessTolerated) {
    return Math.min(slownessMax, one.runUs / other.runUs / slownessTolerated);
  }
  if (other.runUs > one.runUs * slownessTolerated) {
    return Math.max(1 / slownessMax, slownessTolerated * one.runUs / other.runUs);
  }
  return 1;
}

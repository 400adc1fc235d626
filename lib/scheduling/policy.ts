/**
 * Which replica is next? Pure. On the way: queue or admission → here → dispatch.
 * Least outstanding relative to capacity, as the least-work policies of Harchol-Balter ("Performance Modeling and
 * Design of Computer Systems", 2013, chapter 24) estimate it: the load counts more where runs take longer, so the
 * slow and the hot get less. The invariant: never a replica without a free slot.
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

/** An observed run time says nothing any more after this long, and a slow replica gets its next chance. */
const observationMsMax = 10_000;
/** Slower than the fastest by less than this is noise; by more counts, up to `slownessMax`. */
const slownessTolerated = 1.5;
const slownessMax = 4;
/** Weight of a new run time, as in Jacobson, "Congestion avoidance and control" (1988). */
const runWeight = 1 / 8;

export function isFree(candidate: Candidate): boolean {
  return candidate.available && candidate.outstanding < candidate.slots;
}

/**
 * The best of those with a free slot; null: none has one. Equals are told apart by `random`, so that many
 * requests at once don't herd to the first of the list.
 */
export function choose<C extends Candidate>(
  candidates: readonly C[],
  nowMs: number,
  random: Random,
): C | null {
  const fastestUs = fastest(candidates, nowMs);
  let best: C | null = null;
  let bestCost = Infinity;
  let equals = 0;
  for (const candidate of candidates) {
    if (!isFree(candidate)) continue;
    const cost = ((candidate.outstanding + 1) / candidate.slots) * slowness(candidate, fastestUs, nowMs);
    if (cost > bestCost) continue;
    // The n-th of n equals wins with probability 1/n: each is as likely (Vitter's reservoir of one).
    equals = cost < bestCost ? 1 : equals + 1;
    if (equals === 1 || random.next() * equals < 1) best = candidate;
    bestCost = cost;
  }
  return best;
}

/** The smoothed run time after one more run of `runUs`. */
export function smoothRunUs(smoothedUs: number, runUs: number): number {
  return smoothedUs === 0 ? runUs : smoothedUs + runWeight * (runUs - smoothedUs);
}

function isObserved(candidate: Candidate, nowMs: number): boolean {
  return candidate.runUs > 0 && nowMs - candidate.runObservedMs <= observationMsMax;
}

function fastest(candidates: readonly Candidate[], nowMs: number): number {
  let fastestUs = Infinity;
  for (const candidate of candidates) {
    if (isObserved(candidate, nowMs) && candidate.runUs < fastestUs) fastestUs = candidate.runUs;
  }
  return fastestUs;
}

/** 1 for the usual, up to `slownessMax` for a replica that takes that much longer than the fastest. */
function slowness(candidate: Candidate, fastestUs: number, nowMs: number): number {
  if (!isObserved(candidate, nowMs)) return 1;
  return Math.min(slownessMax, Math.max(1, candidate.runUs / fastestUs / slownessTolerated));
}

/**
 * What remains of a rollout's judgement when it is over: for each endpoint one comparison of the new revision with the
 * one before. Arms of live requests → `manager/judge` → here → the store and the views. Pure.
 * Invariant: bounded by `limits.comparisonsKept`, however many endpoints a set has.
 */
import { limits } from "../limits.ts";
import type { ArmView, ComparisonView } from "../protocol/views.ts";
import type { Arm } from "./judge.ts";

/** A comparison as it is shown. */
export function describeComparison(
  endpoint: string,
  { before, after }: { before: Arm; after: Arm },
): ComparisonView {
  return { endpoint, before: describeArm(before), after: describeArm(after) };
}

/**
 * The one that says more: with more requests on the side that has fewer, the newer of equals. While the old revision
 * is replaced its side runs dry, and what had been compared before would be lost in the last moments.
 */
export function weightier(known: ComparisonView | undefined, now: ComparisonView): ComparisonView {
  return known && weightOf(known) > weightOf(now) ? known : now;
}

function weightOf({ before, after }: ComparisonView): number {
  return Math.min(before.requests, after.requests);
}

/** Those that are kept: the most called of the new revision; `first`, if there is one, in any case. */
export function chooseKept(comparisons: Iterable<ComparisonView>, first?: string): ComparisonView[] {
  const isFirst = ({ endpoint }: ComparisonView) => endpoint === first;
  return [...comparisons].sort((left, right) =>
    Number(isFirst(right)) - Number(isFirst(left)) || right.after.requests - left.after.requests
  ).slice(0, limits.comparisonsKept);
}

function describeArm({ requests, errors, latency }: Arm): ArmView {
  const p95Us = latency.quantile(0.95);
  return { requests, errors, ...(p95Us === undefined ? {} : { p95Ms: Math.round(p95Us) / 1000 }) };
}

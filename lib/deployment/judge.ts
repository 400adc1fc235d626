/**
 * Is a new revision worse than the one before? Pure: two arms of live requests of one endpoint → an objection in words, or
 * nothing. Exact bounds, so that three unlucky requests are no reason (docs/decisions/0017):
 * - errors: the share of the new one is above an upper bound of the old one's by more than `errorRate`;
 * - p95: more than 5 % of the new one's replies took longer than `p95Factor` times an upper bound of the old one's p95,
 *   which is an order statistic (Hahn & Meeker, "Statistical Intervals", 1991, chapter 5).
 * Looking again and again is paid for: looks are a fourth more requests apart, and look k may be wrong with a chance of
 * 6 / (π² k²) of the whole, as alpha is spent in Lan & DeMets, "Discrete sequential boundaries" (1983).
 */
import { limits } from "../limits.ts";
import type { Histogram } from "../metrics/histogram.ts";
import type { RollbackPolicy } from "../protocol/revision.ts";
import { chanceOfAtLeast, upperBound } from "./binomial.ts";
import { counted } from "../words.ts";

/** What one revision did with the requests of one endpoint. */
export interface Arm {
  /** Those that count: refused, cancelled and lost ones don't. */
  requests: number;
  errors: number;
  /** Run times of replies. */
  latency: Histogram;
}

/** How often an endpoint was looked at, and from how many requests on it is again. */
export interface Looks {
  count: number;
  nextAt: number;
}

/** The chance of an objection to a revision that is just within the policy, over its whole rollout. */
export const falseAlarmsMax = 0.01;
const growthBetweenLooks = 1.25;

export function noLooks({ minRequests }: RollbackPolicy): Looks {
  return { count: 0, nextAt: minRequests };
}

/** One look at one of `endpoints` endpoints. `answered`: all requests that the new revision has had of it. */
export function judgeEndpoint(
  endpoint: string,
  arms: { before: Arm; after: Arm; answered: number },
  policy: RollbackPolicy,
  looks: Looks,
  endpoints: number,
): { looks: Looks; objection?: string } {
  const { before, after, answered } = arms;
  if (answered < looks.nextAt || after.requests < policy.minRequests) return { looks };
  const count = looks.count + 1;
  const next = { count, nextAt: Math.ceil(Math.max(answered, looks.nextAt) * growthBetweenLooks) };
  const alpha = falseAlarmsMax * 6 / (Math.PI * Math.PI * count * count) / Math.max(1, endpoints);
  // Two questions, each answered by two bounds.
  const objection = objectToErrors(endpoint, before, after, policy, alpha / 4) ??
    objectToLatency(endpoint, before, after, policy, alpha / 4);
  return objection === undefined ? { looks: next } : { looks: next, objection };
}

function objectToErrors(
  endpoint: string,
  before: Arm,
  after: Arm,
  policy: RollbackPolicy,
  alpha: number,
): string | undefined {
  if (before.requests === 0 || after.errors === 0) return undefined;
  const allowed = upperBound(before.errors, before.requests, alpha) + policy.errorRate;
  if (allowed >= 1 || chanceOfAtLeast(after.errors, after.requests, allowed) > alpha) return undefined;
  return `${endpoint} failed ${after.errors} of ${counted(after.requests, "request")} (${percent(after)}), ` +
    `${before.errors} of ${before.requests} before (${percent(before)}); ` +
    `at most ${round(policy.errorRate * 100)} points more are allowed`;
}

function objectToLatency(
  endpoint: string,
  { latency: before }: Arm,
  { latency: after }: Arm,
  policy: RollbackPolicy,
  alpha: number,
): string | undefined {
  const rank = upperRank(before.count, alpha);
  if (rank === undefined || after.count < policy.minRequests) return undefined;
  const boundUs = before.quantile((rank - 1) / Math.max(1, before.count - 1))!;
  // Both are read from buckets of 1 %; and nobody is helped by an undo for a few ms.
  const allowedUs = Math.max(boundUs * policy.p95Factor * 1.02, boundUs + limits.rollbackLatencyMsMin * 1000);
  const slow = after.countAbove(allowedUs);
  if (slow === 0 || chanceOfAtLeast(slow, after.count, 0.05) > alpha) return undefined;
  const [p95Us, beforeUs] = [after.quantile(0.95)!, before.quantile(0.95)!];
  return `${endpoint} took ${milliseconds(p95Us)} at p95 over ${counted(after.count, "request")}, ` +
    `${
      milliseconds(beforeUs)
    } before over ${before.count}; at most ${policy.p95Factor} times as long is allowed`;
}

/** The smallest rank whose value is above the 95th percentile with a confidence of 1 - alpha; none for too few values. */
function upperRank(count: number, alpha: number): number | undefined {
  if (count === 0 || 0.95 ** count > alpha) return undefined;
  let low = Math.ceil(0.95 * count);
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (chanceOfAtLeast(middle, count, 0.95) > alpha) low = middle + 1;
    else high = middle;
  }
  return high;
}

function percent({ errors, requests }: Arm): string {
  return `${round(errors / requests * 100)} %`;
}

function milliseconds(us: number): string {
  return `${us < 10_000 ? round(us / 1000) : Math.round(us / 1000)} ms`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

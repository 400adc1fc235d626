/**
 * How long to wait before dialling again: exponential backoff with "equal jitter" (Brooker, "Exponential Backoff and
 * Jitter", AWS Architecture Blog, 2015). Pure: a thousand peers of one restarted manager spread out by themselves.
 */
import { limits } from "../limits.ts";
import type { Random } from "../random.ts";

/**
 * Half more with each failure (gRPC's connection backoff has 1.6): with doubling, whoever misses a manager that was
 * restarted within a second by a little waits for another second, and that was most of what a restart took.
 */
const growth = 1.5;
/** Far beyond the bound already; more would overflow for a manager that is away for months. */
const growthsMax = 50;

/**
 * The delay in ms before attempt `failures + 1`: half fixed, half random, growing with each failure from
 * `limits.reconnectMsMin` up to `limits.reconnectMsMax`. `failures` counts from 1.
 */
export function reconnectDelayMs(failures: number, random: Random): number {
  const grown = limits.reconnectMsMin * growth ** Math.min(Math.max(failures, 1) - 1, growthsMax);
  const wholeMs = Math.min(grown, limits.reconnectMsMax);
  return wholeMs / 2 + random.next() * (wholeMs / 2);
}

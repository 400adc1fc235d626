/**
 * How long to wait before dialling again: exponential backoff with "equal jitter" (Brooker, "Exponential Backoff and
 * Jitter", AWS Architecture Blog, 2015). Pure: a thousand peers of one restarted manager spread out by themselves.
 */
import { limits } from "../limits.ts";
import type { Random } from "../random.ts";

/**
 * The delay in ms before attempt `failures + 1`: half fixed, half random, doubling with each failure from
 * `limits.reconnectMsMin` up to `limits.reconnectMsMax`. `failures` counts from 1.
 */
export function reconnectDelayMs(failures: number, random: Random): number {
  // 2^30 is far beyond the bound already; more would overflow for a manager that is away for months.
  const doubled = limits.reconnectMsMin * 2 ** Math.min(Math.max(failures, 1) - 1, 30);
  const wholeMs = Math.min(doubled, limits.reconnectMsMax);
  return wholeMs / 2 + random.next() * (wholeMs / 2);
}

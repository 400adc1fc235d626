/**
 * Has an agent been lost so often that others are asked first? Pure: losses and the time → penalty → damped or not.
 * On the way: `agents` notes a loss → here → routing, placement and the views (docs/decisions/0014).
 * Route flap damping, RFC 2439 (Villamizar and others, 1998), as forbearing as RFC 7196 wants it. Each loss adds 1;
 *   penalty(t) = penalty(t₀) · 2^(−(t − t₀) / dampingHalfLifeMs), never above dampingReuse · 2^(dampedMsMax / dampingHalfLifeMs);
 * above `dampingPenalty` an agent is damped, until no more than `dampingReuse` is left.
 * The invariants: three losses damp nobody; five within two minutes do; `dampedMsMax` after its last loss nobody is damped.
 */
import { limits } from "../limits.ts";

/** As of an agent's last loss; missing for one that was never lost. */
export interface Damping {
  readonly penalty: number;
  /** When it was lost, monotonic ms. */
  readonly lostMs: number;
  readonly damped: boolean;
}

/** So much at most, that it falls to `dampingReuse` within `dampedMsMax`, however often an agent was lost. */
export const penaltyMax = limits.dampingReuse * 2 ** (limits.dampedMsMax / limits.dampingHalfLifeMs);

/** What one more loss makes of it. */
export function afterLoss(before: Damping | undefined, nowMs: number): Damping {
  const penalty = Math.min(penaltyMax, penaltyAt(before, nowMs) + 1);
  return {
    penalty,
    lostMs: nowMs,
    damped: penalty > limits.dampingPenalty || isDamped(before, nowMs),
  };
}

/** What its losses still weigh. */
export function penaltyAt(damping: Damping | undefined, nowMs: number): number {
  if (damping === undefined) return 0;
  return damping.penalty * 2 ** (-Math.max(0, nowMs - damping.lostMs) / limits.dampingHalfLifeMs);
}

/** When it is used as before unless it is lost again, monotonic ms; in the past for one that is not damped. */
export function usedAgainMs({ penalty, lostMs, damped }: Damping): number {
  if (!damped) return lostMs;
  const holdMs = limits.dampingHalfLifeMs * Math.log2(penalty / limits.dampingReuse);
  // Rounding must not make it longer than what is promised.
  return lostMs + Math.min(limits.dampedMsMax, Math.max(0, holdMs));
}

export function isDamped(damping: Damping | undefined, nowMs: number): boolean {
  return damping !== undefined && nowMs < usedAgainMs(damping);
}

/**
 * How many requests a replica takes at once. Pure: facts of one replica → slots.
 * On the way: an agent's report → `fleet` → here, asked again whenever the routing table changes.
 * The agent reports the configured concurrency, its own `--concurrency` or its core count, in this order; an adaptive
 * limit needs what it measured beside it, and so only this file.
 */

export interface CapacityFacts {
  /** What the agent reported for this replica. */
  reportedSlots: number;
}

/** More than any machine has use for; a wrong report must not empty the queue onto one agent. */
const slotsMax = 4096;

/** Slots of a replica: a whole number, 0 to 4096. */
export function slotsOf(facts: CapacityFacts): number {
  return Math.max(0, Math.min(slotsMax, Math.floor(facts.reportedSlots)));
}

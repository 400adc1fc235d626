/** What a seed stands for: how large the world is, what runs in it, and which faults it has. */
import type { Dice } from "./dice.ts";
import { type FaultKind, faultKinds } from "./faults.ts";

export interface PlannedSet {
  name: string;
  replicas: number | "all";
  zone?: string;
  concurrency?: number;
  queueMax: number;
  timeoutMs: number;
  idempotent: boolean;
  minReadyMs: number;
  surge: number;
}

export interface Plan {
  agents: number;
  clients: number;
  sets: PlannedSet[];
  /** Mean time between two faults. */
  faultMs: number;
  faults: readonly FaultKind[];
  /** Mean time between two changes by the operator. */
  changeMs: number;
}

/** The moments of a run, in simulated ms. */
export const moments = {
  faultsFrom: 3000,
  /** Faults end, all machines come back. */
  healAt: 30_000,
  /** No more requests. */
  loadUntil: 44_000,
  /** Everything must be as it shall be. */
  convergedAt: 60_000,
} as const;

/** A size given from outside counts; the rest is the seed's. */
export function planOf(dice: Dice, size: { agents?: number; clients?: number } = {}): Plan {
  const agents = size.agents ?? dice.spread(5, dice.spread(5, 50));
  const clients = size.clients ?? dice.spread(2, 12);
  const sets = Array.from({ length: dice.whole(2, 4) }, (_, index) => planSet(dice, `set${index}`, agents));
  // Each seed has some kinds of faults only: what hides behind another is found without it (Groce and others, "Swarm
  // testing", 2012).
  const share = dice.pick([0.2, 0.5, 1]);
  const some = faultKinds.filter(() => dice.chance(share));
  // What a manager remembers of agents that flap is gone with its first restart: one seed in ten has nothing else.
  const faults = dice.fork("flaps").chance(0.1) ? ["agentFlaps" as const] : some;
  return {
    agents,
    clients,
    sets,
    faults,
    faultMs: dice.pick([300, 1000, 3000]),
    changeMs: dice.pick([2000, 6000]),
  };
}

function planSet(dice: Dice, name: string, agents: number): PlannedSet {
  const replicas = dice.chance(0.2) ? "all" : dice.whole(1, Math.min(agents, 12));
  return {
    name,
    replicas,
    ...(dice.chance(0.25) ? { zone: dice.pick(["attic", "shed"]) } : {}),
    ...(dice.chance(0.6) ? { concurrency: dice.pick([1, 2, 8]) } : {}),
    queueMax: dice.pick([5, 50, 1000]),
    timeoutMs: dice.pick([500, 2000, 5000]),
    idempotent: dice.chance(0.3),
    minReadyMs: dice.pick([0, 200, 1000]),
    surge: Math.max(1, Math.ceil((replicas === "all" ? agents : replicas) / 4)),
  };
}

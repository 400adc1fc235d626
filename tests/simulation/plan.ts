/** What a seed stands for: how large the world is, what runs in it, and which faults it has. */
import type { ReplicaCount } from "../../lib/protocol/revision.ts";
import type { Dice } from "./dice.ts";
import { type FaultKind, faultKinds } from "./faults.ts";

export interface PlannedSet {
  name: string;
  replicas: ReplicaCount;
  zone?: string;
  concurrency?: number;
  queueMax: number;
  timeoutMs: number;
  idempotent: boolean;
  minReadyMs: number;
  surge: number;
  maxUnavailable: number;
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
  /** The set whose one endpoint most requests are for, so that its revisions can be judged by their answers. */
  busiest?: string;
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
  const traffic = dice.fork("traffic");
  return {
    agents,
    clients,
    sets,
    faults,
    faultMs: dice.pick([300, 1000, 3000]),
    changeMs: dice.pick([2000, 6000]),
    ...(traffic.chance(0.5) ? { busiest: traffic.pick(sets).name } : {}),
  };
}

function planSet(dice: Dice, name: string, agents: number): PlannedSet {
  const replicas = dice.chance(0.2) ? "all" : dice.whole(1, Math.min(agents, 12));
  const count = replicas === "all" ? agents : replicas;
  const rollouts = dice.fork(`rollouts of ${name}`);
  const hasSurge = rollouts.chance(0.8);
  return {
    name,
    replicas: rollouts.chance(0.2) ? boundsOf(rollouts, count) : replicas,
    ...(dice.chance(0.25) ? { zone: dice.pick(["attic", "shed"]) } : {}),
    ...(dice.chance(0.6) ? { concurrency: dice.pick([1, 2, 8]) } : {}),
    queueMax: dice.pick([5, 50, 1000]),
    timeoutMs: dice.pick([500, 2000, 5000]),
    idempotent: dice.chance(0.3),
    minReadyMs: dice.pick([0, 200, 1000]),
    surge: hasSurge ? Math.max(1, Math.ceil(count / 4)) : 0,
    maxUnavailable: hasSurge ? rollouts.pick([0, 1, 1, 2]) : rollouts.pick([1, 2]),
  };
}

/** Where the load decides how many there are; with 0 it sleeps and is woken. */
function boundsOf(dice: Dice, count: number): ReplicaCount {
  const min = dice.pick([0, 0, 1, 2]);
  return { min, max: Math.max(1, min, count), idleMs: dice.pick([1000, 4000, 20_000]) };
}

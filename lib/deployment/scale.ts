/**
 * How many replicas are wanted, where the load decides within bounds. Pure: a second's load → what is wanted and what the
 * next second must know. The demand is what runs and what waits (by Little's law both are arrivals times time); a replica
 * is to use `useWanted` of its slots. More are wanted at once, fewer only when no second of the last minute wanted more,
 * as in the stabilization window of Kubernetes' horizontal autoscaler: a load that comes and goes makes nothing flap.
 */
import { limits } from "../limits.ts";
import type { ReplicaCount } from "../protocol/revision.ts";
import type { RolloutView } from "../protocol/views.ts";
import { isOpen } from "./facts.ts";

export type Bounds = Extract<ReplicaCount, object>;

/** What of a set says how many replicas it is to have now. */
export interface ScaledSet {
  current: { revision: number; specification: { replicas: ReplicaCount } };
  /** The last revision that was rolled out to its end. */
  good?: { revision: number };
  /** By a person, since. */
  replicasOverride?: ReplicaCount;
  /** By the load, where it decides. */
  scaledTo?: number;
  rollout?: { toRevision: number; state: RolloutView["state"] };
}

/** What was asked for: by the specification, or by a person since. */
export function askedReplicas({ replicasOverride, current }: ScaledSet): ReplicaCount {
  return replicasOverride ?? current.specification.replicas;
}

/**
 * How many replicas a set wants at this moment. Between bounds it is the load's number, which may be none, and at least
 * one while a rollout must show that it works.
 */
export function wantedNow(set: ScaledSet): number | "all" {
  const asked = askedReplicas(set);
  if (typeof asked !== "object") return asked;
  const least = isRollingOut(set) ? Math.max(1, asked.min) : asked.min;
  return Math.min(asked.max, Math.max(least, set.scaledTo ?? 1));
}

/**
 * Sets that somebody wants no replica of, each with the words for who asks for it. A set that sleeps between
 * bounds is none of them: a request wakes it.
 */
export function closedSets(
  sets: Iterable<ScaledSet & { name: string; owner: "file" | "api" }>,
): Map<string, string> {
  const closed = new Map<string, string>();
  for (const set of sets) {
    if (askedReplicas(set) !== 0) continue;
    const change = set.owner === "file"
      ? "`replicas` in the configuration file"
      : `\`client scale ${set.name} 1\``;
    closed.set(set.name, `${set.name} is scaled to 0 replicas; ${change} changes that`);
  }
  return closed;
}

/** Also between a deployment and the first step of its rollout. */
function isRollingOut({ rollout, current, good }: ScaledSet): boolean {
  if (!rollout) return good?.revision !== current.revision;
  return rollout.toRevision !== current.revision || isOpen(rollout.state);
}

export interface SetLoad {
  nowMs: number;
  /** Wanted now. */
  current: number;
  /** Replicas that take requests, and the slots of all of them. */
  ready: number;
  slots: number;
  running: number;
  waiting: number;
}

export interface ScaleMemory {
  /** What runs and waits, second by second, the newest last. */
  demand: { atMs: number; requests: number }[];
  /** What was found to be needed. */
  needs: { atMs: number; replicas: number }[];
  /** When there was last anything to do. */
  busyAtMs: number;
  /** Of one replica, as last seen. */
  slotsEach: number;
}

/** The part of its slots that a replica is to use: the rest is for what comes before another one is ready. */
const useWanted = 0.7;

export function startScaling(nowMs: number): ScaleMemory {
  return { demand: [], needs: [], busyAtMs: nowMs, slotsEach: 1 };
}

/** One second's step. */
export function stepScale(
  memory: ScaleMemory,
  bounds: Bounds,
  load: SetLoad,
): { memory: ScaleMemory; wanted: number } {
  const { nowMs, current, ready, slots, running, waiting } = load;
  const requests = running + waiting;
  const demand = [
    ...memory.demand.filter(({ atMs }) => nowMs - atMs < limits.scaleUpWindowMs),
    { atMs: nowMs, requests },
  ];
  const slotsEach = ready > 0 && slots > 0 ? slots / ready : memory.slotsEach;
  const mean = demand.reduce((sum, each) => sum + each.requests, 0) / demand.length;
  const need = clamp(Math.ceil(mean / (slotsEach * useWanted)), bounds);
  const needs = [
    ...memory.needs.filter(({ atMs }) => nowMs - atMs < limits.scaleDownWindowMs),
    { atMs: nowMs, replicas: need },
  ];
  const busyAtMs = requests > 0 ? nowMs : memory.busyAtMs;
  const isIdle = nowMs - busyAtMs >= (bounds.idleMs ?? limits.scaleIdleMs);
  const most = Math.max(...needs.map(({ replicas }) => replicas));
  // What starts is not ready yet and so takes nothing off the queue: at most twice as many at a time.
  const up = Math.min(need, Math.max(1, current * 2));
  const wanted = up > current ? up : Math.min(current, most);
  const sleeps = isIdle && bounds.min === 0;
  return { memory: { demand, needs, busyAtMs, slotsEach }, wanted: sleeps ? 0 : clamp(wanted, bounds) };
}

function clamp(replicas: number, { min, max }: Bounds): number {
  return Math.min(max, Math.max(1, min, replicas));
}

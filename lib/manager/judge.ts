/**
 * Watches how new revisions answer, from their first request to some minutes after their rollout is done, and objects to
 * the bad ones: outcomes → `deployment/traffic` → here → `deployment/judge` → the controller, which undoes them.
 */
import type { Clock } from "../clock.ts";
import type { RolloutRecord } from "../deployment/facts.ts";
import { judgeEndpoint, type Looks, noLooks } from "../deployment/judge.ts";
import type { Traffic } from "../deployment/traffic.ts";
import { limits } from "../limits.ts";
import { rollbackDefault } from "../protocol/revision.ts";
import type { StoredSet } from "../store/deployments.ts";

export interface JudgeOptions {
  clock: Clock;
  traffic: Traffic;
  sets(): readonly StoredSet[];
  rollout(replicaSet: string): Readonly<RolloutRecord> | undefined;
  endpoints(replicaSet: string): Iterable<string>;
  object(replicaSet: string, revision: number, reason: string): void;
}

/** One rollout under watch. */
interface Watched {
  revision: number;
  startedAtMs: number;
  looks: Map<string, Looks>;
  isOver: boolean;
}

/** Judges until the returned function is called. */
export function startJudging(options: JudgeOptions): () => void {
  const { clock, traffic } = options;
  const watched = new Map<string, Watched>();
  const stopRotating = clock.every(limits.trafficWindowMs, () => traffic.rotate(clock.nowMs()));
  const stopJudging = clock.every(limits.judgeEveryMs, () => {
    for (const set of options.sets()) {
      const rollout = options.rollout(set.name);
      if (!rollout || !isWatched(set, rollout, clock.nowMs())) watched.delete(set.name);
      else judgeSet(options, set, rollout, watchOf(watched, traffic, rollout));
    }
  });
  return () => {
    stopRotating();
    stopJudging();
  };
}

function isWatched({ current }: StoredSet, rollout: RolloutRecord, nowMs: number): boolean {
  if (rollout.toRevision !== current.revision || rollout.fallback === undefined) return false;
  if (current.specification.rollout.rollback === false || rollout.state === "failed") return false;
  return rollout.endedAtMs === undefined || nowMs - rollout.endedAtMs < limits.judgedAfterMs;
}

/** A revision that is rolled out once more starts with a clean slate. */
function watchOf(watched: Map<string, Watched>, traffic: Traffic, rollout: RolloutRecord): Watched {
  const { replicaSet, toRevision, startedAtMs } = rollout;
  const known = watched.get(replicaSet);
  if (known?.revision === toRevision && known.startedAtMs === startedAtMs) return known;
  traffic.forget(replicaSet, toRevision);
  const fresh = { revision: toRevision, startedAtMs, looks: new Map(), isOver: false };
  watched.set(replicaSet, fresh);
  return fresh;
}

function judgeSet(options: JudgeOptions, set: StoredSet, rollout: RolloutRecord, watch: Watched): void {
  if (watch.isOver) return;
  const policy = set.current.specification.rollout.rollback || rollbackDefault;
  const endpoints = [...options.endpoints(set.name)];
  for (const endpoint of endpoints) {
    const looks = watch.looks.get(endpoint) ?? noLooks(policy);
    const { arm: after, total } = options.traffic.arm(endpoint, rollout.toRevision);
    if (total < looks.nextAt) continue;
    const { arm: before } = options.traffic.arm(endpoint, rollout.fallback!);
    const arms = { before, after, answered: total };
    const judged = judgeEndpoint(endpoint, arms, policy, looks, endpoints.length);
    watch.looks.set(endpoint, judged.looks);
    if (judged.objection === undefined) continue;
    watch.isOver = true;
    return options.object(set.name, rollout.toRevision, judged.objection);
  }
}

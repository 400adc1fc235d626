/**
 * A canary's stages: which share of the requests the new revision gets now, and when the next stage begins. Pure.
 * Part of a rollout's step: `rollout.ts` → here → `replicas.ts` (how many replicas) and the routing table (weights).
 */
import type { RoutedSplit } from "../cluster/routing.ts";
import {
  type CanaryStep,
  canaryStepsDefault,
  type Revision,
  type RolloutPolicy,
} from "../protocol/revision.ts";
import { type DeploymentEvent, isOpen, type RolloutRecord } from "./facts.ts";

/** The stages of a policy; none when it is no canary. */
export function canarySteps(policy: RolloutPolicy): readonly CanaryStep[] {
  return policy.strategy === "canary" ? policy.steps ?? canaryStepsDefault : [];
}

/** The stage a rollout is in; undefined for other rollouts and after the last stage. */
export function currentStep(
  record: Pick<RolloutRecord, "state" | "step">,
  policy: RolloutPolicy,
): CanaryStep | undefined {
  return isOpen(record.state) && record.step !== undefined ? canarySteps(policy)[record.step] : undefined;
}

/** The record as the stage's replicas are available (or not): holds for the stage's time, then goes on to the next. */
export function advanceCanary(
  record: RolloutRecord,
  policy: RolloutPolicy,
  atLimit: boolean,
  nowMs: number,
): { record: RolloutRecord; events: DeploymentEvent[]; dueAtMs?: number } {
  const stage = currentStep(record, policy);
  if (!stage || record.state !== "progressing") return { record, events: [] };
  const { stepSinceMs, ...rest } = record;
  if (!atLimit) return { record: stepSinceMs === undefined ? record : rest, events: [] };
  const since = stepSinceMs ?? nowMs;
  // As it is woken: a difference of the two may still be a rounding error short of it.
  if (nowMs < since + stage.holdMs) {
    const held = stepSinceMs === undefined ? { ...record, stepSinceMs: since } : record;
    return { record: held, events: [], dueAtMs: since + stage.holdMs };
  }
  const step = (record.step ?? 0) + 1;
  const weight = canarySteps(policy)[step]?.weight ?? 100;
  const message =
    `Revision ${record.toRevision} of ${record.replicaSet} held ${stage.weight} % of the requests ` +
    `for ${stage.holdMs} ms and goes on to ${weight} %`;
  // The deadline counts anew for what the next stage starts.
  const { progress: _progress, ...anew } = rest;
  return {
    record: { ...anew, step },
    events: [{ level: "info", kind: "canary_advanced", subject: record.replicaSet, message }],
    dueAtMs: nowMs + 1,
  };
}

/** Which share of each set's requests its new revision gets; sets that are missing share by capacity. */
export function routedSplits(
  sets: Iterable<{ name: string; current: Revision }>,
  rollouts: ReadonlyMap<string, RolloutRecord>,
): Map<string, RoutedSplit> {
  const splits = new Map<string, RoutedSplit>();
  for (const { name, current } of sets) {
    const rollout = rollouts.get(name);
    const step = rollout && currentStep(rollout, current.specification.rollout);
    if (step) splits.set(name, { revision: rollout.toRevision, share: step.weight / 100 });
    // Until the good one is everywhere again, a bad one helps out only where nothing else is free.
    else if (rollout?.state === "failed") splits.set(name, { revision: rollout.toRevision, share: 0 });
  }
  return splits;
}

/**
 * One set's rollout record: when it begins, what counts as progress, when it has failed or is done, and which
 * revision the set shall run meanwhile. Pure; `plan.ts` moves the replicas.
 * A rollout that failed is over: the set runs its last good revision until something newer is deployed.
 */
import type { Revision } from "../protocol/revision.ts";
import type { DeploymentEvent, Holding, RolloutRecord, SetFacts } from "./facts.ts";
import { isAvailable } from "./placement.ts";

export interface RolloutStep {
  record?: RolloutRecord;
  /** What shall run. */
  target: Revision;
  /** The current revision failed and there is none to go back to. */
  stuck: boolean;
  events: DeploymentEvent[];
  /** Monotonic time at which the deadline passes unless there is progress. */
  deadlineAtMs?: number;
}

type Times = { nowMs: number; atMs: number };

/** Begins, continues or fails the rollout of a set from what its replicas do now. */
export function stepRollout(set: SetFacts, holdings: Holding[], times: Times): RolloutStep {
  const begun = begin(set, times);
  if (begun.record?.state !== "progressing") return settle(set, begun.record, []);
  const record = observeProgress(begun.record, set, holdings, times.nowMs);
  const ofTarget = holdings.filter(({ revision }) => revision === set.current.revision);
  const waiting = ofTarget.filter((holding) => isRising(holding, set, times.nowMs));
  const broken = waiting.find(({ state }) => state === "failed");
  const deadlineMs = set.current.specification.rollout.deadlineMs;
  const deadlineAtMs = (record.progressAtMs ?? times.nowMs) + deadlineMs;
  if (broken) {
    return fail(
      set,
      record,
      `${broken.agent.name}: ${broken.reason ?? "the replica failed"}`,
      times,
      begun.events,
    );
  }
  if (waiting.length > 0 && times.nowMs >= deadlineAtMs) {
    const who = waiting.map(({ agent, state, reason }) => `${agent.name}: ${reason ?? state}`).join(", ");
    return fail(set, record, `No progress for ${deadlineMs} ms (${who})`, times, begun.events);
  }
  return {
    record,
    target: set.current,
    stuck: false,
    events: begun.events,
    ...(waiting.length > 0 ? { deadlineAtMs } : {}),
  };
}

/** The record after replicas were planned: its counts, and done when nothing is left to move. */
export function concludeRollout(
  record: RolloutRecord,
  plan: { available: number; total: number; settled: boolean },
  times: Times,
): { record: RolloutRecord; events: DeploymentEvent[] } {
  if (record.state !== "progressing") return { record, events: [] };
  const counted = { ...record, ready: plan.available, total: plan.total };
  if (!plan.settled) return { record: sameOr(record, counted), events: [] };
  const done: RolloutRecord = { ...counted, state: "done", endedAtMs: times.atMs };
  const replicas = `${plan.available} ${plan.available === 1 ? "replica" : "replicas"}`;
  const message = `Revision ${record.toRevision} of ${record.replicaSet} runs on ${replicas}`;
  return {
    record: done,
    events: [{ level: "info", kind: "rollout_done", subject: record.replicaSet, message }],
  };
}

function begin(set: SetFacts, { nowMs, atMs }: Times): { record?: RolloutRecord; events: DeploymentEvent[] } {
  const { rollout, current, good } = set;
  if (rollout ? rollout.toRevision === current.revision : good?.revision === current.revision) {
    return { ...(rollout ? { record: rollout } : {}), events: [] };
  }
  const before = good && good.revision !== current.revision ? good.revision : rollout?.toRevision ?? 0;
  const record: RolloutRecord = {
    replicaSet: set.name,
    fromRevision: before,
    toRevision: current.revision,
    state: "progressing",
    ready: 0,
    total: 0,
    startedAtMs: atMs,
    progressAtMs: nowMs,
    readyBest: 0,
  };
  const from = before === 0 ? "" : `, from revision ${before}`;
  const message =
    `Rolling out revision ${current.revision} of ${set.name} (version ${current.specification.version})${from}`;
  return { record, events: [{ level: "info", kind: "rollout_started", subject: set.name, message }] };
}

/**
 * Progress is one more available replica than ever before. The time does not count while no agent works on a
 * replica: waiting for an agent to join is no fault of the revision.
 */
function observeProgress(
  record: RolloutRecord,
  set: SetFacts,
  holdings: Holding[],
  nowMs: number,
): RolloutRecord {
  const { minReadyMs } = set.current.specification.rollout;
  const ofTarget = holdings.filter(({ revision }) => revision === set.current.revision);
  const available = ofTarget.filter((holding) => isAvailable(holding, minReadyMs, nowMs)).length;
  const best = record.readyBest ?? 0;
  const isWorking = ofTarget.some((holding) => isRising(holding, set, nowMs));
  if (available <= best && isWorking && record.progressAtMs !== undefined) return record;
  return { ...record, progressAtMs: nowMs, readyBest: Math.max(best, available) };
}

/** On its way, on an agent that is well. */
function isRising(holding: Holding, set: SetFacts, nowMs: number): boolean {
  const { minReadyMs } = set.current.specification.rollout;
  return holding.agent.health === "ready" && !isAvailable(holding, minReadyMs, nowMs);
}

function fail(
  set: SetFacts,
  record: RolloutRecord,
  reason: string,
  { atMs }: Times,
  events: DeploymentEvent[],
): RolloutStep {
  const failed: RolloutRecord = { ...record, state: "failed", reason, endedAtMs: atMs };
  const { target, stuck } = settle(set, failed, []);
  const next = stuck
    ? "there is no earlier good revision to go back to"
    : target === set.current
    ? "it stays"
    : `going back to revision ${target.revision}`;
  const message = `Revision ${set.current.revision} of ${set.name} failed, ${next}: ${reason}`;
  const event: DeploymentEvent = { level: "error", kind: "rollout_failed", subject: set.name, message };
  return { record: failed, target, stuck, events: [...events, event] };
}

function settle(set: SetFacts, record: RolloutRecord | undefined, events: DeploymentEvent[]): RolloutStep {
  const failed = record?.state === "failed";
  const target = failed && set.good ? set.good : set.current;
  return { ...(record ? { record } : {}), target, stuck: failed && !set.good, events };
}

function sameOr(record: RolloutRecord, next: RolloutRecord): RolloutRecord {
  return record.ready === next.ready && record.total === next.total ? record : next;
}

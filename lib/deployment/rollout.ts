/**
 * One set's rollout record: when it begins, what counts as progress, when it has failed or is done, and which
 * revision the set shall run meanwhile. Pure; `plan.ts` moves the replicas.
 * A rollout that failed is over: the set runs its last good revision until something newer is deployed.
 */
import type { Revision } from "../protocol/revision.ts";
import { advanceCanary, canarySteps, currentStep } from "./canary.ts";
import {
  type AgentFacts,
  type DeploymentEvent,
  type Holding,
  isOpen,
  type RolloutRecord,
  type SetFacts,
} from "./facts.ts";
import { isAvailable } from "./placement.ts";
import type { ReplicasPlan } from "./replicas.ts";
import type { Limit } from "./situation.ts";
import { counted } from "../words.ts";

export interface RolloutStep {
  record?: RolloutRecord;
  /** What shall run. */
  target: Revision;
  /** What it is compared with and falls back to: known to be good, and not the target. */
  good?: Revision;
  /** How far it may go for now. */
  limit?: Limit;
  /** The current revision failed and there is none to go back to. */
  stuck: boolean;
  events: DeploymentEvent[];
}

type Times = { nowMs: number; atMs: number };

/** Begins, continues or fails the rollout of a set from what its replicas do now. */
export function stepRollout(set: SetFacts, holdings: Holding[], times: Times): RolloutStep {
  const begun = begin(set, times);
  const { record, events } = begun;
  if (record && record.state !== "failed" && set.objection !== undefined && fallbackOf(set)) {
    return fail(set, record, set.objection, times, events);
  }
  if (!record || !isOpen(record.state)) return settle(set, record, events);
  const observed = observeProgress(record, set, holdings, times.nowMs);
  const ofTarget = holdings.filter(({ revision }) => revision === set.current.revision);
  const waiting = ofTarget.filter((holding) => isRising(holding, set, times.nowMs));
  const broken = waiting.find(({ state }) => state === "failed");
  if (broken) {
    const reason = `${broken.agent.name}: ${broken.reason ?? "the replica failed"}`;
    return fail(set, observed, reason, times, events);
  }
  const { deadlineMs } = set.current.specification.rollout;
  const deadlineAtMs = deadlineOf(observed, deadlineMs);
  if (deadlineAtMs !== undefined && times.nowMs >= deadlineAtMs) {
    const who = waiting.map(({ agent, state, reason }) => `${agent.name}: ${reason ?? state}`).join(", ");
    return fail(set, observed, `No progress for ${deadlineMs} ms (${who})`, times, events);
  }
  return settle(set, observed, events);
}

/** The record after replicas were planned: its counts, a canary's next stage, and done when nothing is left to move. */
export function concludeRollout(
  record: RolloutRecord,
  set: SetFacts,
  plan: Pick<ReplicasPlan, "available" | "total" | "settled" | "atLimit" | "started">,
  times: Times,
): { record: RolloutRecord; events: DeploymentEvent[]; dueAtMs?: number } {
  if (!isOpen(record.state)) return { record, events: [] };
  const seen = { ...record, ready: plan.available, total: plan.total };
  if (record.state === "paused" || !plan.settled) {
    const policy = set.current.specification.rollout;
    // An agent that never says a word about its new replica must not keep a rollout from failing.
    const isBegun = plan.started.some(({ revision }) => revision.revision === record.toRevision);
    const working = isBegun ? workedOn(sameOr(record, seen), times.nowMs) : sameOr(record, seen);
    return advanceCanary(working, policy, plan.atLimit, times.nowMs);
  }
  const { step: _step, stepSinceMs: _since, ...kept } = seen;
  const done: RolloutRecord = { ...kept, state: "done", endedAtMs: times.atMs };
  const replicas = counted(plan.available, "replica");
  const message = `Revision ${record.toRevision} of ${record.replicaSet} runs on ${replicas}`;
  return {
    record: done,
    events: [{ level: "info", kind: "rollout_done", subject: record.replicaSet, message }],
  };
}

function begin(set: SetFacts, { atMs }: Times): { record?: RolloutRecord; events: DeploymentEvent[] } {
  const { rollout, current, good } = set;
  if (rollout ? rollout.toRevision === current.revision : good?.revision === current.revision) {
    return { ...(rollout ? { record: rollout } : {}), events: [] };
  }
  const isGoodElsewhere = good !== undefined && good.revision !== current.revision;
  const before = isGoodElsewhere ? good.revision : rollout?.toRevision ?? 0;
  const record: RolloutRecord = {
    replicaSet: set.name,
    fromRevision: before,
    toRevision: current.revision,
    state: "progressing",
    ready: 0,
    total: 0,
    startedAtMs: atMs,
    readyBest: 0,
    ...(isGoodElsewhere ? { fallback: good.revision } : {}),
  };
  const [first] = isGoodElsewhere ? canarySteps(current.specification.rollout) : [];
  const staged = first ? { ...record, step: 0 } : record;
  const from = before === 0 ? "" : `, from revision ${before}`;
  const stage = first ? `, ${first.weight} % of the requests first` : "";
  const version = current.specification.version;
  const message =
    `Rolling out revision ${current.revision} of ${set.name} (version ${version})${from}${stage}`;
  return { record: staged, events: [{ level: "info", kind: "rollout_started", subject: set.name, message }] };
}

/**
 * Progress is one more available replica than ever before, and that an agent is back which has a new one to start: the
 * latter once for each, so that one which comes and goes, or that the revision itself takes down, keeps no rollout from
 * its end. Time does not count while no agent works on a replica: waiting for one is no fault of the revision. Nor does
 * it while it is paused: then nothing is remembered, since the step in which it goes on may be the first after the one
 * that held it.
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
  const readyBest = Math.max(best, available);
  const { progress, ...rest } = record;
  if (record.state === "paused") return { ...rest, readyBest };
  const rising = ofTarget.filter((holding) => isRising(holding, set, nowMs));
  const idle = rising.length > 0 ? {} : { idleSinceMs: nowMs };
  const isHeld = record.stepSinceMs !== undefined && rising.length === 0;
  if (!progress || available > best || isHeld) {
    return { ...rest, readyBest, progress: { atMs: nowMs, ...idle, idleMs: 0, returned: [] } };
  }
  const { atMs, returned } = progress;
  const back = rising.map(({ agent }) => agent).filter(({ name, healthSinceMs }) =>
    healthSinceMs !== undefined && healthSinceMs > atMs && !returned.includes(name)
  ).map(({ name }) => name);
  if (back.length > 0) {
    return { ...rest, readyBest, progress: { atMs: nowMs, idleMs: 0, returned: [...returned, ...back] } };
  }
  if (rising.length > 0) return workedOn(record, nowMs);
  return progress.idleSinceMs === undefined ? { ...record, progress: { ...progress, ...idle } } : record;
}

/** Some agent works on it from now on, if none did. */
function workedOn(record: RolloutRecord, nowMs: number): RolloutRecord {
  if (record.progress?.idleSinceMs === undefined) return record;
  const { idleSinceMs, idleMs, ...progress } = record.progress;
  return { ...record, progress: { ...progress, idleMs: idleMs + nowMs - idleSinceMs } };
}

/** Monotonic time at which a rollout has failed without progress; undefined while no time passes for it. */
export function deadlineOf(record: RolloutRecord, deadlineMs: number): number | undefined {
  const { state, progress } = record;
  if (state !== "progressing" || !progress || progress.idleSinceMs !== undefined) return undefined;
  return progress.atMs + progress.idleMs + deadlineMs;
}

/** Which agents that are away a rollout waits for, where it waits for nothing else. */
export function awaitedAgents(record: RolloutRecord, kept: readonly Holding[]): AgentFacts[] {
  if (record.state !== "progressing" || record.progress?.idleSinceMs === undefined) return [];
  return kept.filter(({ agent, revision }) => revision === record.toRevision && agent.health !== "ready")
    .map(({ agent }) => agent);
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
  const { step: _step, stepSinceMs: _since, ...kept } = record;
  const failed: RolloutRecord = { ...kept, state: "failed", reason, endedAtMs: atMs };
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

/** What shall run: the current revision, or the one before it once that has failed. */
export function revisionInForce(
  set: Pick<SetFacts, "current" | "good" | "previous"> & { rollout?: Pick<RolloutRecord, "state"> },
): Revision {
  return set.rollout?.state === "failed" ? fallbackOf(set) ?? set.current : set.current;
}

/**
 * What is gone back to: the last good revision; when the current one had been taken for good and then turned out bad,
 * the one before it.
 */
function fallbackOf(
  { current, good, previous }: Pick<SetFacts, "current" | "good" | "previous">,
): Revision | undefined {
  if (good?.revision !== current.revision) return good;
  return previous?.revision === current.revision ? undefined : previous;
}

/** What shall run by the record, and how far. */
function settle(set: SetFacts, record: RolloutRecord | undefined, events: DeploymentEvent[]): RolloutStep {
  const base = { ...(record ? { record } : {}), events };
  const fallback = fallbackOf(set);
  if (record?.state === "failed") {
    const target = fallback ?? set.current;
    return { ...base, target, stuck: !fallback && !set.good };
  }
  const stage = record && currentStep(record, set.current.specification.rollout);
  const isFrozen = record?.state === "paused";
  const share = stage && set.good ? stage.weight / 100 : undefined;
  const good = set.good && set.good.revision !== set.current.revision ? set.good : undefined;
  return {
    ...base,
    target: set.current,
    stuck: false,
    ...(good ? { good } : {}),
    ...(isFrozen || share !== undefined
      ? { limit: { isFrozen, ...(share === undefined ? {} : { share }) } }
      : {}),
  };
}

function sameOr(record: RolloutRecord, next: RolloutRecord): RolloutRecord {
  return record.ready === next.ready && record.total === next.total ? record : next;
}

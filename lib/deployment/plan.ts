/**
 * What every agent shall run next: (revisions, agents' reports, what was said last) → desired state, rollouts, events.
 * The manager calls this after every change and at `wakeAtMs`, sends each agent its assignments, stores the records.
 * Pure and deterministic. An agent keeps what it runs; a suspect one too; one that is lost keeps it for a grace,
 * and when it returns with its replicas loaded they are taken back as they are.
 */
import { limits } from "../limits.ts";
import type { Revision } from "../protocol/revision.ts";
import {
  type AgentFacts,
  type Assignment,
  type DeploymentEvent,
  type DeploymentFacts,
  type DeploymentStep,
  type Holding,
  isOpen,
  type Move,
  type RolloutRecord,
  type SetFacts,
} from "./facts.ts";
import { explainAway, isPresent, readHoldings } from "./placement.ts";
import { chooseMove, isUnderWay, type SettledSet, steadyAtMs } from "./rebalance.ts";
import { keepServing, planReplicas } from "./replicas.ts";
import { awaitedAgents, concludeRollout, deadlineOf, stepRollout } from "./rollout.ts";
import { Ledger } from "./room.ts";
import type { ReplicasInput } from "./situation.ts";

export type {
  AgentFacts,
  Assignment,
  Assignments,
  DeploymentEvent,
  DeploymentFacts,
  DeploymentStep,
  Move,
  ReportedReplica,
  RolloutRecord,
  SetFacts,
} from "./facts.ts";

interface SetStep {
  assignments: { agent: string; revision: number }[];
  rollout?: RolloutRecord;
  events: DeploymentEvent[];
  pending?: string;
  wakeAtMs: number[];
  /** Something of it is under way. */
  isBusy: boolean;
  /** When nothing is, and nothing is missing. */
  settled?: SettledSet;
}

/** What the sets of one step share. */
interface Shared {
  facts: DeploymentFacts;
  present: AgentFacts[];
  everyAgent: AgentFacts[];
  /** Replicas of all sets by agent. */
  load: Map<string, number>;
  ledger: Ledger;
  mayPlaceAnew: boolean;
  /** The move under way. */
  move?: Move;
}

/** One step of all deployments. */
export function stepDeployments(facts: DeploymentFacts): DeploymentStep {
  const { nowMs } = facts;
  const present = facts.agents.filter((agent) => isPresent(agent, nowMs)).sort(byName);
  const sets = [...facts.sets].sort(byName);
  const holdings = new Map(sets.map(({ name }) => [name, readHoldings(name, present, facts.assigned)]));
  const shared: Shared = {
    facts,
    present,
    everyAgent: [...facts.agents].sort(byName),
    load: new Map(present.map(({ name }) => [name, 0])),
    ledger: new Ledger(),
    mayPlaceAnew: facts.placeAfterMs === undefined || nowMs >= facts.placeAfterMs,
  };
  for (const set of sets) {
    for (const { agent, revision } of holdings.get(set.name)!) {
      shared.load.set(agent.name, shared.load.get(agent.name)! + 1);
      shared.ledger.add(agent.name, set.name, knownRevision(set, revision).specification);
    }
  }
  const move = continueMove(facts, sets, holdings);
  if (move && move.endedAtMs === undefined) shared.move = move;

  const step: DeploymentStep = {
    assignments: new Map(present.map(({ name }): [string, Assignment[]] => [name, []])),
    rollouts: new Map(),
    events: releasedEvents(facts, shared),
    pending: new Map(),
  };
  const wakes = present.flatMap(({ lostSinceMs, health }) =>
    health === "lost" && lostSinceMs !== undefined ? [lostSinceMs + limits.lostGraceMs] : []
  );
  if (facts.placeAfterMs !== undefined) wakes.push(facts.placeAfterMs);
  const settled: SettledSet[] = [];
  let isBusy = false;
  for (const set of sets) {
    const planned = stepSet(set, holdings.get(set.name)!, shared);
    for (const { agent, revision } of planned.assignments) {
      step.assignments.get(agent)!.push({ replicaSet: set.name, revision });
    }
    if (planned.rollout) step.rollouts.set(set.name, planned.rollout);
    if (planned.pending !== undefined) step.pending.set(set.name, planned.pending);
    isBusy ||= planned.isBusy;
    if (planned.settled) settled.push(planned.settled);
    step.events.push(...planned.events);
    wakes.push(...planned.wakeAtMs);
  }
  nextMove(step, move, isBusy ? [] : settled, shared, wakes);
  const due = wakes.filter((atMs) => atMs > nowMs);
  return due.length > 0 ? { ...step, wakeAtMs: Math.min(...due) } : step;
}

function stepSet(set: SetFacts, holdings: Holding[], shared: Shared): SetStep {
  const { facts, mayPlaceAnew, ledger } = shared;
  const { nowMs } = facts;
  const rollout = stepRollout(set, holdings, facts);
  const { target, good, limit } = rollout;
  const roomOn = ledger.roomFor(set.name);
  const isMoving = shared.move?.replicaSet === set.name && shared.move.revision === target.revision &&
    !(rollout.record && isOpen(rollout.record.state));
  const input: ReplicasInput = {
    target,
    ...(set.good ? { good: set.good } : {}),
    ...(limit ? { limit } : {}),
    replicas: set.replicas,
    agents: shared.present,
    everyAgent: shared.everyAgent,
    holdings,
    load: shared.load,
    roomOn,
    ...(isMoving ? { move: shared.move! } : {}),
    nowMs,
    mayPlaceAnew,
    ...(set.isUndecided && rollout.record?.state === "progressing" ? { isUndecided: true } : {}),
  };
  if (rollout.stuck) {
    return {
      assignments: keepServing(input).map(asAssignment),
      rollout: rollout.record!,
      events: rollout.events,
      pending:
        `Revision ${set.current.revision} failed and no earlier one is known to be good; deploy a new one`,
      wakeAtMs: [],
      isBusy: false,
    };
  }
  const plan = planReplicas({ ...input, ...(good ? { good } : {}) });
  for (const { agent, revision } of plan.started) ledger.add(agent.name, set.name, revision.specification);
  const concluded = rollout.record
    ? concludeRollout(rollout.record, set, { ...plan, settled: plan.settled && mayPlaceAnew }, facts)
    : undefined;
  const policy = target.specification.rollout;
  const readyAtMs = plan.kept.flatMap(({ state, readySinceMs }) =>
    state === "ready" && readySinceMs !== undefined ? [readySinceMs + policy.minReadyMs] : []
  );
  const isBusy = !mayPlaceAnew || plan.started.length > 0 || concluded?.record.state === "progressing";
  const isAtRest = !isBusy && plan.settled && plan.pending === undefined;
  const away = concluded ? awaitedAgents(concluded.record, plan.kept) : [];
  const pending = plan.pending ?? (away.length > 0 ? explainAway(away) : undefined);
  const deadlineAtMs = concluded && deadlineOf(concluded.record, policy.deadlineMs);
  return {
    assignments: [
      ...plan.kept.map(asAssignment),
      ...plan.started.map(({ agent, revision }) => ({ agent: agent.name, revision: revision.revision })),
    ],
    ...(concluded ? { rollout: concluded.record } : {}),
    events: [...rollout.events, ...(concluded?.events ?? [])],
    ...(pending === undefined ? {} : { pending }),
    wakeAtMs: [
      ...readyAtMs,
      ...(deadlineAtMs === undefined ? [] : [deadlineAtMs]),
      ...(concluded?.dueAtMs === undefined ? [] : [concluded.dueAtMs]),
    ],
    isBusy,
    ...(isAtRest ? { settled: { name: set.name, target, holdings: plan.kept, roomOn } } : {}),
  };
}

/** The last move, ended once its agent no longer runs the replica or it has taken too long. */
function continueMove(
  facts: DeploymentFacts,
  sets: SetFacts[],
  holdings: ReadonlyMap<string, Holding[]>,
): Move | undefined {
  const { move, nowMs } = facts;
  if (!move || move.endedAtMs !== undefined) return move;
  const set = sets.find(({ name }) => name === move.replicaSet);
  const goesOn = set && isUnderWay(move, holdings.get(set.name)!, facts.agents, nowMs);
  return goesOn ? move : { ...move, endedAtMs: nowMs };
}

/** Begins a move when the whole cluster is at rest. It takes effect with the next step. */
function nextMove(
  step: DeploymentStep,
  move: Move | undefined,
  settled: SettledSet[],
  { facts, present, load }: Shared,
  wakes: number[],
): void {
  const { nowMs } = facts;
  if (move) step.move = move;
  if (move?.endedAtMs === undefined && move) {
    wakes.push(move.untilMs);
    return;
  }
  if (settled.length === 0) return;
  const next = chooseMove({ nowMs, agents: present, load, sets: settled, ...(move ? { move } : {}) });
  wakes.push(...steadyAtMs(present, nowMs));
  if (move?.endedAtMs !== undefined) wakes.push(move.endedAtMs + limits.rebalanceEveryMs);
  if (!next) return;
  step.move = next;
  wakes.push(nowMs + 1);
  const message = `A replica of ${next.replicaSet} moves from ${next.from} to ${next.to}, where less runs`;
  step.events.push({ level: "info", kind: "replica_moved", subject: next.replicaSet, message });
}

/** The revision by its number, as far as a step is told of it. */
function knownRevision({ current, good, previous }: SetFacts, revision: number): Revision {
  return [current, good, previous].find((known) => known?.revision === revision) ?? current;
}

/** Said once, in the step in which an agent's replicas are given up. */
function releasedEvents(facts: DeploymentFacts, { present, everyAgent }: Shared): DeploymentEvent[] {
  const names = new Set(present.map(({ name }) => name));
  return everyAgent.filter(({ name }) => !names.has(name)).flatMap(({ name }) => {
    const sets = [...new Set(facts.assigned.get(name)?.map(({ replicaSet }) => replicaSet))];
    if (sets.length === 0) return [];
    const message = `${name} has been lost for ${limits.lostGraceMs / 1000} s; others take over ${
      sets.join(", ")
    }`;
    return [{ level: "warn" as const, kind: "replicas_released", subject: name, message }];
  });
}

function asAssignment({ agent, revision }: Holding): { agent: string; revision: number } {
  return { agent: agent.name, revision };
}

function byName(left: { name: string }, right: { name: string }): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}

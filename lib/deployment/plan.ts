/**
 * What every agent shall run next: (revisions, agents' reports, what was said last) → desired state, rollouts, events.
 * The manager calls this after every change and at `wakeAtMs`, sends each agent its assignments, stores the records.
 * Pure and deterministic. An agent keeps what it runs; a suspect one too; one that is lost keeps it for a grace,
 * and when it returns with its replicas loaded they are taken back as they are.
 */
import { limits } from "../limits.ts";
import type {
  AgentFacts,
  Assignment,
  DeploymentEvent,
  DeploymentFacts,
  DeploymentStep,
  Holding,
  RolloutRecord,
  SetFacts,
} from "./facts.ts";
import { isPresent, readHoldings } from "./placement.ts";
import { keepServing, planReplicas } from "./replicas.ts";
import { concludeRollout, stepRollout } from "./rollout.ts";

export type {
  AgentFacts,
  Assignment,
  Assignments,
  DeploymentEvent,
  DeploymentFacts,
  DeploymentStep,
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
}

/** One step of all deployments. */
export function stepDeployments(facts: DeploymentFacts): DeploymentStep {
  const present = facts.agents.filter((agent) => isPresent(agent, facts.nowMs)).sort(byName);
  const sets = [...facts.sets].sort(byName);
  const holdings = new Map(sets.map(({ name }) => [name, readHoldings(name, present, facts.assigned)]));
  const load = new Map(present.map(({ name }) => [name, 0]));
  for (const { agent } of [...holdings.values()].flat()) load.set(agent.name, load.get(agent.name)! + 1);

  const step: DeploymentStep = {
    assignments: new Map(present.map(({ name }): [string, Assignment[]] => [name, []])),
    rollouts: new Map(),
    events: releasedEvents(facts, present),
    pending: new Map(),
  };
  const wakes = present.flatMap(({ lostSinceMs, health }) =>
    health === "lost" && lostSinceMs !== undefined ? [lostSinceMs + limits.lostGraceMs] : []
  );
  if (facts.placeAfterMs !== undefined) wakes.push(facts.placeAfterMs);
  for (const set of sets) {
    const planned = stepSet(set, holdings.get(set.name)!, present, load, facts);
    for (const { agent, revision } of planned.assignments) {
      step.assignments.get(agent)!.push({ replicaSet: set.name, revision });
    }
    if (planned.rollout) step.rollouts.set(set.name, planned.rollout);
    if (planned.pending !== undefined) step.pending.set(set.name, planned.pending);
    step.events.push(...planned.events);
    wakes.push(...planned.wakeAtMs);
  }
  const due = wakes.filter((atMs) => atMs > facts.nowMs);
  return due.length > 0 ? { ...step, wakeAtMs: Math.min(...due) } : step;
}

function stepSet(
  set: SetFacts,
  holdings: Holding[],
  agents: AgentFacts[],
  load: Map<string, number>,
  facts: DeploymentFacts,
): SetStep {
  const { nowMs } = facts;
  const rollout = stepRollout(set, holdings, facts);
  const mayPlaceAnew = facts.placeAfterMs === undefined || nowMs >= facts.placeAfterMs;
  const input = {
    target: rollout.target,
    ...(set.good ? { goodRevision: set.good.revision } : {}),
    replicas: set.replicas,
    agents,
    everyAgent: [...facts.agents].sort(byName),
    holdings,
    load,
    nowMs,
    mayPlaceAnew,
  };
  if (rollout.stuck) {
    return {
      assignments: keepServing(input).map(asAssignment),
      rollout: rollout.record!,
      events: rollout.events,
      pending:
        `Revision ${set.current.revision} failed and no earlier one is known to be good; deploy a new one`,
      wakeAtMs: [],
    };
  }
  const plan = planReplicas(input);
  const concluded = rollout.record
    ? concludeRollout(rollout.record, { ...plan, settled: plan.settled && mayPlaceAnew }, facts)
    : undefined;
  const { minReadyMs } = rollout.target.specification.rollout;
  const readyAtMs = plan.kept.flatMap(({ state, readySinceMs }) =>
    state === "ready" && readySinceMs !== undefined ? [readySinceMs + minReadyMs] : []
  );
  // An agent that never says a word about its new replica must not keep a rollout from failing.
  const deadlineAtMs = concluded?.record.state !== "progressing"
    ? []
    : rollout.deadlineAtMs !== undefined
    ? [rollout.deadlineAtMs]
    : plan.started.length > 0
    ? [nowMs + rollout.target.specification.rollout.deadlineMs]
    : [];
  return {
    assignments: [
      ...plan.kept.map(asAssignment),
      ...plan.started.map(({ name }) => ({ agent: name, revision: rollout.target.revision })),
    ],
    ...(concluded ? { rollout: concluded.record } : {}),
    events: [...rollout.events, ...(concluded?.events ?? [])],
    ...(plan.pending === undefined ? {} : { pending: plan.pending }),
    wakeAtMs: [...readyAtMs, ...deadlineAtMs],
  };
}

/** Said once, in the step in which an agent's replicas are given up. */
function releasedEvents(facts: DeploymentFacts, present: AgentFacts[]): DeploymentEvent[] {
  const names = new Set(present.map(({ name }) => name));
  return facts.agents.filter(({ name }) => !names.has(name)).flatMap(({ name }) => {
    const sets = [...new Set(facts.assigned.get(name)?.map(({ replicaSet }) => replicaSet))];
    if (sets.length === 0) return [];
    const message = `${name} has been lost for ${limits.lostGraceMs} ms; others take over ${sets.join(", ")}`;
    return [{ level: "warn" as const, kind: "replicas_released", subject: name, message }];
  });
}

function asAssignment({ agent, revision }: Holding): { agent: string; revision: number } {
  return { agent: agent.name, revision };
}

function byName(left: { name: string }, right: { name: string }): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}

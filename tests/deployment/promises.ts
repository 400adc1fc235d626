/** What every step of the planner promises, whatever came before it; a broken promise throws with the facts in its message. */
import assert from "node:assert/strict";
import { fitsPlacement } from "../../lib/deployment/placement.ts";
import { stepDeployments } from "../../lib/deployment/plan.ts";
import type {
  AgentFacts,
  DeploymentFacts,
  DeploymentStep,
  RolloutRecord,
} from "../../lib/deployment/plan.ts";
import { limits } from "../../lib/limits.ts";
import type { Revision } from "../../lib/protocol/revision.ts";

/** The promises of one step, whatever came before it. */
export function checkStep(facts: DeploymentFacts, step: DeploymentStep): void {
  const context = () => JSON.stringify({ facts, step }, replaceMaps, 1);
  const again = stepDeployments({
    ...facts,
    agents: facts.agents.toReversed(),
    sets: facts.sets.toReversed(),
  });
  assert.equal(textOf(again), textOf(step), "equal facts give equal steps, whatever order they are told in");
  for (const agent of facts.agents) {
    const isGone = agent.health === "lost" &&
      (agent.lostSinceMs === undefined || facts.nowMs - agent.lostSinceMs >= limits.lostGraceMs);
    assert.equal(
      step.assignments.has(agent.name),
      !isGone,
      `${agent.name} is planned for unless lost for good`,
    );
  }
  for (const set of facts.sets) checkSet(facts, step, set, context);
  checkRoom(facts, step, context);
}

function targetOf(set: DeploymentFacts["sets"][number], record: RolloutRecord | undefined): Revision {
  if (record?.state !== "failed") return set.current;
  const isBadAfterAll = set.good?.revision === set.current.revision;
  return (isBadAfterAll ? set.previous : set.good) ?? set.current;
}

function checkSet(
  facts: DeploymentFacts,
  step: DeploymentStep,
  set: DeploymentFacts["sets"][number],
  context: () => string,
): void {
  const record = step.rollouts.get(set.name);
  const isStuck = record?.state === "failed" && set.good === undefined;
  const target = targetOf(set, record);
  const { rollout } = target.specification;
  const isLimited = record?.state === "paused" || record?.step !== undefined;
  const agents = facts.agents.filter(({ name }) => step.assignments.has(name));
  const before = new Map(agents.map((agent) => [agent.name, revisionsBefore(facts, agent, set.name)]));
  const after = new Map(agents.map(({ name }) => [
    name,
    step.assignments.get(name)!.filter(({ replicaSet }) => replicaSet === set.name).map(({ revision }) =>
      revision
    ),
  ]));
  const fits = (agent: AgentFacts) => fitsPlacement(agent.labels, target.specification.placement);
  const isOpen = (agent: AgentFacts) => !agent.cordoned && !agent.draining;
  const possible = agents.filter((agent) =>
    (before.get(agent.name)!.length > 0 && !agent.draining) || (fits(agent) && isOpen(agent))
  );
  // Of a cordoned agent only what it has counts: the target, and of others while a rollout is held. The last stage of a
  // canary may have ended in this step.
  const wantedOf = (isHeld: boolean, counts: (agent: AgentFacts) => boolean = () => true) =>
    set.replicas === "all"
      ? agents.filter((agent) =>
        counts(agent) && fits(agent) && !agent.draining &&
        (!agent.cordoned ||
          before.get(agent.name)!.some((revision) => isHeld || revision === target.revision))
      ).length
      : set.replicas;

  const total = checkStarts({ set, record, target, isStuck, isLimited, before, after, agents }, context);
  // What serves of a set that is stuck goes on wherever it is.
  const most = isStuck && set.replicas === "all"
    ? Infinity
    : wantedOf(isLimited) + (isStuck ? 0 : rollout.maxSurge);
  promise(total <= most, () => `${total} replicas, at most ${most}\n${context()}`);

  const serving = (revisions: Map<string, number[]>) =>
    agents.filter((agent) =>
      // With nothing to be started elsewhere, what a drained agent runs just ends.
      agent.health === "ready" && !(isStuck && agent.draining) &&
      agent.reports.some((report) =>
        report.replicaSet === set.name && report.state === "ready" && !report.unshown &&
        before.get(agent.name)!.includes(report.revision) &&
        revisions.get(agent.name)!.includes(report.revision)
      )
    ).length;
  // Nor is one of "all" missing where there is no room for it, whatever runs there of the revision before.
  const takes = (agent: AgentFacts) => hasRoomFor(facts, agent, target);
  const canRun = (agent: AgentFacts) => before.get(agent.name)!.includes(target.revision) || takes(agent);
  const reachable = possible.filter((agent) => before.get(agent.name)!.length > 0 || takes(agent)).length;
  const least = Math.min(wantedOf(false, canRun), reachable) -
    (isStuck ? 0 : rollout.maxUnavailable);
  promise(
    serving(after) >= Math.min(serving(before), least),
    () => `from ${serving(before)} to ${serving(after)} serving, at least ${least} wanted\n${context()}`,
  );
}

/** Who is given what, by one set's step; how many replicas there are then. */
function checkStarts(
  { set, record, target, isStuck, isLimited, before, after, agents }: {
    set: DeploymentFacts["sets"][number];
    record: RolloutRecord | undefined;
    target: Revision;
    isStuck: boolean;
    isLimited: boolean;
    before: Map<string, number[]>;
    after: Map<string, number[]>;
    agents: AgentFacts[];
  },
  context: () => string,
): number {
  let total = 0;
  let started = 0;
  for (const agent of agents) {
    const revisions = after.get(agent.name)!;
    total += revisions.length;
    promise(
      new Set(revisions).size === revisions.length,
      () => `no revision twice on one agent\n${context()}`,
    );
    promise(revisions.length <= 2, () => `at most old and new on one agent\n${context()}`);
    for (const revision of revisions) {
      if (before.get(agent.name)!.includes(revision)) continue;
      started++;
      const given = [target, ...(isLimited && set.good ? [set.good] : [])].find((each) =>
        each.revision === revision
      );
      const mayStart = agent.health === "ready" && !agent.cordoned && !agent.draining && given &&
        fitsPlacement(agent.labels, given.specification.placement);
      promise(mayStart && !isStuck, () => `${agent.name} may be given revision ${revision}\n${context()}`);
    }
  }
  // What is known to work may be given all the same, where what ran is gone or has never served.
  if (record?.state === "paused" && started > 0 && set.good?.revision !== target.revision) {
    const ofTarget = (revisions: Map<string, number[]>) =>
      [...revisions.values()].flat().filter((revision) => revision === target.revision).length;
    promise(ofTarget(after) <= ofTarget(before), () => `what is paused does not go on\n${context()}`);
  }

  return total;
}

/** What the revisions `of` each set take on one agent, the largest of each; `without` leaves one set out. */
function usedMb(
  facts: DeploymentFacts,
  of: (name: string) => number[],
  without?: string,
): number {
  return facts.sets.filter(({ name }) => name !== without).reduce((sum, set) => {
    const known = [set.current, set.good, set.previous];
    const sizes = of(set.name).map((revision) =>
      (known.find((each) => each?.revision === revision) ?? set.current).specification.memoryMb
    );
    return sum + Math.max(0, ...sizes);
  }, 0);
}

/** Its other sets leave room on the agent for this revision. */
export function hasRoomFor(
  facts: DeploymentFacts,
  agent: AgentFacts,
  { replicaSet, specification }: Revision,
): boolean {
  if (agent.memoryBytes === 0) return true;
  const used = usedMb(facts, (name) => revisionsBefore(facts, agent, name), replicaSet);
  return (used + specification.memoryMb) * 2 ** 20 <= agent.memoryBytes;
}

/** Nobody is given what does not fit: an agent's sets only ask for more than it has where they did before. */
function checkRoom(facts: DeploymentFacts, step: DeploymentStep, context: () => string): void {
  for (const agent of facts.agents) {
    if (agent.memoryBytes === 0 || !step.assignments.has(agent.name)) continue;
    const after = (name: string) =>
      step.assignments.get(agent.name)!.filter(({ replicaSet }) => replicaSet === name)
        .map(({ revision }) => revision);
    const before = usedMb(facts, (name) => revisionsBefore(facts, agent, name));
    const now = usedMb(facts, after);
    promise(
      now <= Math.max(before, agent.memoryBytes / 2 ** 20),
      () => `${agent.name} has room\n${context()}`,
    );
  }
}

function revisionsBefore(facts: DeploymentFacts, agent: AgentFacts, replicaSet: string): number[] {
  const told = facts.assigned.get(agent.name) ?? agent.reports.filter(({ state }) => state !== "stopping");
  return told.filter((one) => one.replicaSet === replicaSet).map(({ revision }) => revision);
}

/** Every step is held against all of it: what is wrong is put in words only then. */
function promise(isKept: boolean | undefined, broken: () => string): void {
  if (!isKept) assert.fail(broken());
}

/** All of a step; without a replacer, which would cost more than the planning. */
function textOf({ assignments, rollouts, pending, ...rest }: DeploymentStep): string {
  return JSON.stringify([[...assignments], [...rollouts], [...pending], rest]);
}

export function replaceMaps(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

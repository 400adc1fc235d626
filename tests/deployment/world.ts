/**
 * A small world for planning: agents that load, fail, vanish and return, and a manager that carries out each step.
 * Every step is held against the planner's promises; a broken one throws with the facts in its message.
 */
import assert from "node:assert/strict";
import { stepDeployments } from "../../lib/deployment/plan.ts";
import type {
  AgentFacts,
  Assignments,
  DeploymentEvent,
  DeploymentFacts,
  DeploymentStep,
  ReportedReplica,
  RolloutRecord,
} from "../../lib/deployment/plan.ts";
import { limits } from "../../lib/limits.ts";
import type { Revision, RevisionSpecification } from "../../lib/protocol/revision.ts";

export interface Deployed {
  name: string;
  revisions: Revision[];
  current: number;
  good: number;
  replicas: number | "all";
  rollout?: RolloutRecord;
}

export interface Machine extends AgentFacts {
  /** What is loaded on it, whether the manager sees it or not. */
  running: Map<string, ReportedReplica>;
}

export function revisionOf(
  replicaSet: string,
  revision: number,
  keys: Partial<RevisionSpecification> = {},
): Revision {
  return {
    replicaSet,
    revision,
    createdAtMs: 0,
    createdBy: "test",
    specification: {
      name: replicaSet,
      version: `1.${revision}`,
      modules: [],
      replicas: 1,
      placement: {},
      permissions: {},
      env: {},
      memoryMb: 64,
      queueMax: 10,
      timeoutMs: 1000,
      idempotent: false,
      ...keys,
      rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 2000, deadlineMs: 60_000, ...keys.rollout },
    },
  };
}

export class World {
  nowMs = 1000;
  readonly machines = new Map<string, Machine>();
  readonly sets = new Map<string, Deployed>();
  /** Revisions that fail to load, `set/revision`. */
  readonly broken = new Set<string>();
  readonly events: DeploymentEvent[] = [];
  assigned: Assignments = new Map();
  placeAfterMs: number | undefined;
  last: DeploymentStep | undefined;

  addMachine(name: string, keys: Partial<AgentFacts> = {}): Machine {
    const machine: Machine = {
      name,
      health: "ready",
      cordoned: false,
      labels: {},
      cores: 4,
      reports: [],
      running: new Map(),
      ...keys,
    };
    this.machines.set(name, machine);
    return machine;
  }

  deploy(name: string, replicas: number | "all", keys: Partial<RevisionSpecification> = {}): number {
    const set = this.sets.get(name) ?? { name, revisions: [], current: 0, good: 0, replicas };
    const revision = set.revisions.length + 1;
    set.revisions.push(revisionOf(name, revision, { replicas, ...keys }));
    set.current = revision;
    set.replicas = replicas;
    this.sets.set(name, set);
    return revision;
  }

  lose(name: string): void {
    const machine = this.machines.get(name)!;
    if (machine.health !== "lost") machine.lostSinceMs = this.nowMs;
    machine.health = "lost";
  }

  /** Back with what it has loaded; `fresh`: its process started anew, with nothing. */
  return(name: string, fresh = false): void {
    const machine = this.machines.get(name)!;
    machine.health = "ready";
    delete machine.lostSinceMs;
    if (fresh) machine.running.clear();
    this.#report(machine);
  }

  /** Whatever an agent is loading gets to its end. */
  load(name: string): void {
    const machine = this.machines.get(name)!;
    for (const [key, replica] of machine.running) {
      if (replica.state === "stopping") machine.running.delete(key);
      if (replica.state !== "loading") continue;
      const failed = this.broken.has(key);
      machine.running.set(key, {
        ...replica,
        state: failed ? "failed" : "ready",
        ...(failed ? { reason: "it throws" } : { readySinceMs: this.nowMs }),
      });
    }
    if (machine.health === "ready") this.#report(machine);
  }

  facts(): DeploymentFacts {
    return {
      nowMs: this.nowMs,
      atMs: 1_700_000_000_000 + this.nowMs,
      agents: [...this.machines.values()].map(({ running: _running, ...agent }) => agent),
      sets: [...this.sets.values()].map((set) => ({
        name: set.name,
        current: set.revisions[set.current - 1],
        ...(set.good > 0 ? { good: set.revisions[set.good - 1] } : {}),
        replicas: set.replicas,
        ...(set.rollout ? { rollout: set.rollout } : {}),
      })),
      assigned: this.assigned,
      ...(this.placeAfterMs === undefined ? {} : { placeAfterMs: this.placeAfterMs }),
    };
  }

  step(): DeploymentStep {
    const facts = this.facts();
    const step = stepDeployments(facts);
    checkStep(facts, step);
    for (const set of this.sets.values()) {
      const record = step.rollouts.get(set.name);
      if (record?.state === "done" && set.rollout !== record) set.good = record.toRevision;
      if (record) set.rollout = record;
    }
    this.assigned = step.assignments;
    this.events.push(...step.events);
    for (const machine of this.machines.values()) if (machine.health === "ready") this.#apply(machine);
    this.last = step;
    return step;
  }

  /** Steps, loads and lets time pass only as far as the plan asks for, until nothing is left to do. */
  settle(): DeploymentStep {
    for (let round = 0; round < 400; round++) {
      const before = JSON.stringify([[...this.assigned], this.#reports()]);
      const step = this.step();
      for (const name of this.machines.keys()) this.load(name);
      if (before !== JSON.stringify([[...this.assigned], this.#reports()])) continue;
      if (step.wakeAtMs === undefined) return step;
      assert.ok(step.wakeAtMs > this.nowMs, "a wake-up lies ahead");
      this.nowMs = step.wakeAtMs;
    }
    throw new Error(`not settled: ${JSON.stringify(this.last, replaceMaps)}`);
  }

  /** `agent: set@revision …` of the last step, agents without anything left out. */
  get layout(): string {
    return [...this.assigned].filter(([, list]) => list.length > 0).map(([agent, list]) =>
      `${agent}: ${list.map(({ replicaSet, revision }) => `${replicaSet}@${revision}`).sort().join(" ")}`
    ).join("; ");
  }

  #reports(): unknown {
    return [...this.machines.values()].map(({ reports }) => reports);
  }

  #apply(machine: Machine): void {
    const wanted = new Set(
      (this.assigned.get(machine.name) ?? []).map(({ replicaSet, revision }) => `${replicaSet}/${revision}`),
    );
    for (const [key, replica] of machine.running) {
      if (!wanted.has(key) && replica.state !== "stopping") {
        machine.running.set(key, { ...replica, state: "stopping" });
      }
    }
    for (const key of wanted) {
      const existing = machine.running.get(key);
      if (existing && existing.state !== "stopping") continue;
      const [replicaSet, revision] = key.split("/");
      machine.running.set(key, {
        handle: 1,
        replicaSet,
        revision: Number(revision),
        state: "loading",
        slots: 4,
        endpoints: [],
      });
    }
    this.#report(machine);
  }

  #report(machine: Machine): void {
    machine.reports = [...machine.running.values()];
  }
}

/** The promises of one step, whatever came before it. */
function checkStep(facts: DeploymentFacts, step: DeploymentStep): void {
  const context = () => JSON.stringify({ facts, step }, replaceMaps, 1);
  const again = stepDeployments({
    ...facts,
    agents: facts.agents.toReversed(),
    sets: facts.sets.toReversed(),
  });
  assert.deepEqual(again.assignments, step.assignments, "equal facts give equal plans");
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
}

function checkSet(
  facts: DeploymentFacts,
  step: DeploymentStep,
  set: DeploymentFacts["sets"][number],
  context: () => string,
): void {
  const record = step.rollouts.get(set.name);
  const goesBack = record?.state === "failed" && set.good !== undefined;
  const isStuck = record?.state === "failed" && set.good === undefined;
  const target = goesBack ? set.good! : set.current;
  const { placement, rollout } = target.specification;
  const agents = facts.agents.filter(({ name }) => step.assignments.has(name));
  const before = new Map(agents.map((agent) => [agent.name, revisionsBefore(facts, agent, set.name)]));
  const after = new Map(agents.map(({ name }) => [
    name,
    step.assignments.get(name)!.filter(({ replicaSet }) => replicaSet === set.name).map(({ revision }) =>
      revision
    ),
  ]));
  const fits = (agent: AgentFacts) =>
    Object.entries(placement).every(([label, value]) => [value].flat().includes(agent.labels[label]));
  const possible = agents.filter((agent) =>
    before.get(agent.name)!.length > 0 || (fits(agent) && !agent.cordoned)
  );
  const wanted = set.replicas === "all"
    ? agents.filter((agent) =>
      fits(agent) && (!agent.cordoned || before.get(agent.name)!.includes(target.revision))
    ).length
    : set.replicas;

  let total = 0;
  for (const agent of agents) {
    const revisions = after.get(agent.name)!;
    total += revisions.length;
    assert.equal(new Set(revisions).size, revisions.length, `no revision twice on one agent\n${context()}`);
    assert.ok(revisions.length <= 2, `at most old and new on one agent\n${context()}`);
    for (const revision of revisions) {
      if (before.get(agent.name)!.includes(revision)) continue;
      const mayStart = agent.health === "ready" && !agent.cordoned && fits(agent) &&
        revision === target.revision;
      assert.ok(mayStart && !isStuck, `${agent.name} may be given revision ${revision}\n${context()}`);
    }
  }
  assert.ok(
    total <= wanted + (isStuck ? 0 : rollout.maxSurge),
    `${total} replicas, wanted ${wanted}\n${context()}`,
  );

  const serving = (revisions: Map<string, number[]>) =>
    agents.filter((agent) =>
      agent.health === "ready" &&
      agent.reports.some((report) =>
        report.replicaSet === set.name && report.state === "ready" &&
        before.get(agent.name)!.includes(report.revision) &&
        revisions.get(agent.name)!.includes(report.revision)
      )
    ).length;
  const least = Math.min(wanted, possible.length) - (isStuck ? 0 : rollout.maxUnavailable);
  assert.ok(
    serving(after) >= Math.min(serving(before), least),
    `from ${serving(before)} to ${serving(after)} serving, at least ${least} wanted\n${context()}`,
  );
}

function revisionsBefore(facts: DeploymentFacts, agent: AgentFacts, replicaSet: string): number[] {
  const told = facts.assigned.get(agent.name) ?? agent.reports.filter(({ state }) => state !== "stopping");
  return told.filter((one) => one.replicaSet === replicaSet).map(({ revision }) => revision);
}

function replaceMaps(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

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
  Move,
  ReportedReplica,
  RolloutRecord,
} from "../../lib/deployment/plan.ts";
import type { Revision, RevisionSpecification } from "../../lib/protocol/revision.ts";
import { checkStep, replaceMaps } from "./promises.ts";

export interface Deployed {
  name: string;
  revisions: Revision[];
  current: number;
  good: number;
  replicas: number | "all";
  rollout?: RolloutRecord;
  /** A revision that answers badly; the plan hears of it while it is the current one. */
  objection?: number;
  isUndecided?: boolean;
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
  /** Revisions that load for ever. */
  readonly endless = new Set<string>();
  readonly events: DeploymentEvent[] = [];
  assigned: Assignments = new Map();
  placeAfterMs: number | undefined;
  last: DeploymentStep | undefined;
  move: Move | undefined;
  /** Given up after their grace: what they bring back gets no requests before they have been told of it anew. */
  readonly #released = new Set<string>();
  /** Looks at each step before it is carried out. */
  onStep: (facts: DeploymentFacts, step: DeploymentStep) => void = checkStep;

  addMachine(name: string, keys: Partial<AgentFacts> = {}): Machine {
    const machine: Machine = {
      name,
      health: "ready",
      cordoned: false,
      draining: false,
      labels: {},
      cores: 4,
      memoryBytes: 0,
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
    if (machine.health !== "lost") machine.lostSinceMs = machine.healthSinceMs = this.nowMs;
    machine.health = "lost";
  }

  /** Back with what it has loaded; `fresh`: its process started anew, with nothing. */
  return(name: string, fresh = false): void {
    const machine = this.machines.get(name)!;
    machine.health = "ready";
    machine.healthSinceMs = this.nowMs;
    delete machine.lostSinceMs;
    if (fresh) machine.running.clear();
    this.#report(machine);
  }

  /** The manager starts anew: what it said is gone, what agents run is not, and whoever comes is believed. */
  forget(): void {
    this.assigned = new Map();
    this.move = undefined;
    this.#released.clear();
    this.placeAfterMs = this.nowMs + 5000;
  }

  /** Whatever an agent is loading gets to its end. */
  load(name: string): void {
    const machine = this.machines.get(name)!;
    for (const [key, replica] of machine.running) {
      if (replica.state === "stopping") machine.running.delete(key);
      if (replica.state !== "loading" || this.endless.has(key)) continue;
      const failed = this.broken.has(key);
      machine.running.set(key, {
        ...replica,
        state: failed ? "failed" : "ready",
        ...(failed ? { reason: "it throws" } : { readySinceMs: this.nowMs }),
      });
    }
    if (machine.health === "ready") this.#report(machine);
  }

  /** Pauses a rollout, or goes on with it. */
  pause(name: string): void {
    const set = this.sets.get(name)!;
    const { rollout } = set;
    if (rollout?.state !== "progressing" && rollout?.state !== "paused") return;
    set.rollout = { ...rollout, state: rollout.state === "paused" ? "progressing" : "paused" };
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
        ...(set.rollout?.fallback ? { previous: set.revisions[set.rollout.fallback - 1] } : {}),
        ...(set.isUndecided ? { isUndecided: true } : {}),
        ...(set.objection === set.current ? { objection: "it answers badly" } : {}),
      })),
      assigned: this.assigned,
      ...(this.move ? { move: this.move } : {}),
      ...(this.placeAfterMs === undefined ? {} : { placeAfterMs: this.placeAfterMs }),
    };
  }

  step(): DeploymentStep {
    const facts = this.facts();
    const step = stepDeployments(facts);
    this.onStep(facts, step);
    for (const set of this.sets.values()) {
      const record = step.rollouts.get(set.name);
      if (record?.state === "done" && set.rollout !== record) set.good = record.toRevision;
      if (record?.state === "failed" && record.toRevision === set.good && record.fallback) {
        set.good = record.fallback;
      }
      if (record) set.rollout = record;
    }
    for (const { name } of this.machines.values()) {
      if (step.assignments.has(name)) this.#released.delete(name);
      else if (this.assigned.has(name)) this.#released.add(name);
    }
    this.assigned = step.assignments;
    this.move = step.move;
    this.events.push(...step.events);
    for (const machine of this.machines.values()) if (machine.health === "ready") this.#apply(machine);
    this.last = step;
    return step;
  }

  /** Steps, loads and lets time pass only as far as the plan asks for, until nothing is left to do. */
  settle(): DeploymentStep {
    let before = this.#picture();
    for (let round = 0; round < 400; round++) {
      const step = this.step();
      for (const name of this.machines.keys()) this.load(name);
      const after = this.#picture();
      const hasChanged = after !== before;
      before = after;
      if (hasChanged) continue;
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

  /** What agents shall run and what they say, to see whether it changes. */
  #picture(): string {
    return JSON.stringify([[...this.assigned], [...this.machines.values()].map(({ reports }) => reports)]);
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
    const isShown = !this.#released.has(machine.name);
    machine.reports = [...machine.running.values()].map((report) =>
      isShown ? report : { ...report, unshown: true }
    );
  }
}

export function worldOf(...names: string[]): World {
  const world = new World();
  for (const name of names) world.addMachine(name);
  return world;
}

/**
 * One run of a seed: manager, agents, clients and an operator on one timeline, with faults, and checkers that look at
 * all of it. Nothing in here reads a real clock, a socket or another random source.
 */
import type { MayHaveRun } from "../../lib/errors.ts";
import { SimulatedAgent } from "./agent.ts";
import { allCheckers } from "./checkers/all.ts";
import { SimulatedClient } from "./client.ts";
import { Dice } from "./dice.ts";
import { scheduleFaults } from "./faults.ts";
import { SimulatedManager } from "./manager.ts";
import type { Run } from "./module_host.ts";
import { type Machine, Network } from "./network.ts";
import type { Checker, Operation, RecordedEvent } from "./observer.ts";
import { Operator } from "./operator.ts";
import { moments, type Plan, planOf } from "./plan.ts";
import { Slab } from "./slab.ts";
import { Timeline } from "./timeline.ts";
import { Trace } from "./trace.ts";

export interface Failure {
  checker: string;
  message: string;
  atMs: number;
}

export interface RunResult {
  seed: number;
  failure: Failure | null;
  hash: string;
  events: number;
  operations: number;
  outcomes: Map<string, number>;
  rollouts: Rollouts;
  lines: string[];
  plan: Plan;
}

/** How many rollouts ended in which way. */
export interface Rollouts {
  done: number;
  failed: number;
  /** Of those that failed: by their answers. */
  judged: number;
}

export interface RunOptions {
  trace?: boolean;
  agents?: number;
  clients?: number;
  /** Only what this one finds is a failure. */
  checker?: string;
}

type Hooks = { [Hook in Exclude<keyof Checker, "name">]-?: NonNullable<Checker[Hook]> };

export class World {
  readonly timeline = new Timeline();
  readonly slab = new Slab();
  readonly trace: Trace;
  readonly dice: Dice;
  readonly plan: Plan;
  readonly network: Network;
  readonly manager: SimulatedManager;
  readonly agents: SimulatedAgent[];
  readonly clients: SimulatedClient[];
  readonly operations: Operation[] = [];
  readonly outcomes = new Map<string, number>();
  readonly rollouts: Rollouts = { done: 0, failed: 0, judged: 0 };
  failure: Failure | null = null;
  hasFaults = true;
  isLoaded = true;
  readonly #checkers: Checker[];
  /** Those that listen to a hook, by its name: most listen to few. */
  readonly #listeners = new Map<keyof Hooks, Checker[]>();
  readonly #lines = new Map<Machine, { latencyMs: number; bytesPerMs: number }>();

  constructor(seed: number, options: RunOptions) {
    this.trace = new Trace(this.timeline, options.trace ?? false);
    this.dice = new Dice(Math.imul(seed, 0x9e3779b1) >>> 0);
    this.plan = planOf(this.dice.fork("plan"), options);
    this.network = new Network(this.timeline, this.slab, this.trace, this.dice.fork("network"));
    this.#checkers = allCheckers.map((make) => make(this))
      .filter(({ name }) => options.checker === undefined || options.checker === name);
    this.manager = new SimulatedManager(this);
    this.agents = Array.from({ length: this.plan.agents }, (_, at) => new SimulatedAgent(this, `agent${at}`));
    this.clients = Array.from(
      { length: this.plan.clients },
      (_, at) => new SimulatedClient(this, `client${at}`),
    );
    for (const { machine } of [this.manager, ...this.agents, ...this.clients]) {
      this.#lines.set(machine, { latencyMs: machine.latencyMs, bytesPerMs: machine.bytesPerMs });
    }
  }

  run(): void {
    const { timeline } = this;
    this.manager.start();
    new Operator(this, this.dice.fork("operator")).begin();
    for (const agent of this.agents) timeline.at(this.dice.between(0, 1000), () => agent.start());
    for (const client of this.clients) timeline.at(this.dice.between(0, 2000), () => client.start());
    scheduleFaults(this, this.dice.fork("faults"));
    timeline.at(moments.healAt, () => this.#heal());
    timeline.at(moments.loadUntil, () => this.isLoaded = false);
    for (let second = 1; second <= moments.convergedAt / 1000 && this.failure === null; second++) {
      this.#runUntil(second * 1000);
      this.tell("tick");
      if (this.timeline.nowMs >= moments.healAt) this.#startAll();
    }
    if (this.failure === null) this.tell("converged");
    this.close();
  }

  /** What a checker has found; the first counts. */
  fail(checker: string, message: string): void {
    this.trace.note("FAILURE", checker, message);
    this.failure ??= { checker, message, atMs: this.timeline.nowMs };
    this.timeline.stop();
  }

  tell<Hook extends keyof Hooks>(hook: Hook, ...values: Parameters<Hooks[Hook]>): void {
    let listeners = this.#listeners.get(hook);
    if (!listeners) {
      listeners = this.#checkers.filter((checker) => checker[hook] !== undefined);
      this.#listeners.set(hook, listeners);
    }
    for (const checker of listeners) {
      (checker[hook] as (...values: Parameters<Hooks[Hook]>) => void)(...values);
    }
  }

  /** Something for after a while, or for when faults end. */
  later(delayMs: number, action: () => void): void {
    const atMs = this.timeline.nowMs + delayMs;
    this.timeline.at(this.timeline.nowMs < moments.healAt ? Math.min(atMs, moments.healAt) : atMs, action);
  }

  operation(by: string, endpoint: string, idempotent: boolean, timeoutMs: number): Operation {
    const operation: Operation = {
      n: this.operations.length,
      by,
      endpoint,
      idempotent,
      startedMs: this.timeline.nowMs,
      timeoutMs,
      runs: [],
      outcome: null,
      mayHaveRun: "maybe",
      orphaned: false,
    };
    this.operations.push(operation);
    this.trace.note("asks", by, operation.n, endpoint, idempotent ? "idempotent" : "once", timeoutMs);
    this.tell("operationStarted", operation);
    return operation;
  }

  /** What a module asks for while it runs; its outcome is the module's. */
  nestedOperation(agent: string, endpoint: string): number {
    const set = this.plan.sets.find(({ name }) => endpoint.startsWith(`${name}/`))!;
    const operation = this.operation(agent, endpoint, set.idempotent, set.timeoutMs);
    operation.orphaned = true;
    return operation.n;
  }

  operationEnded(operation: Operation, outcome: string, mayHaveRun: MayHaveRun): void {
    if (operation.outcome !== null) this.fail("one outcome", `operation ${operation.n} ended twice`);
    operation.outcome = outcome;
    operation.mayHaveRun = mayHaveRun;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    this.trace.note("ends", operation.by, operation.n, outcome, mayHaveRun);
    this.tell("operationEnded", operation);
  }

  runStarted(run: Run): void {
    const operation = this.operations[run.n];
    operation.runs.push(run);
    this.trace.note("runs", run.n, run.requestId, run.attempt, run.agent, run.replicaSet, run.revision);
    this.tell("runStarted", run, operation);
  }

  eventRecorded(event: RecordedEvent): void {
    const { kind, message } = event;
    if (kind === "rollout_done") this.rollouts.done++;
    if (kind === "rollout_failed") this.rollouts.failed++;
    if (kind === "rollout_failed" && /(more|as long) (is|are) allowed$/.test(message)) this.rollouts.judged++;
    this.tell("eventRecorded", event);
  }

  restartManager(delayMs: number): void {
    this.later(delayMs, () => {
      if (this.manager.process !== null) return;
      this.manager.start();
    });
  }

  /** Takes no more replicas, is drained of those it has, or is open again. */
  cordon(agent: string, how: "cordon" | "drain" | "uncordon"): void {
    const { core, store } = this.manager;
    if (core.agents.get(agent) === undefined) return;
    const flags = { cordoned: how !== "uncordon", draining: how === "drain" };
    store.agents.setFlags(agent, flags);
    core.agents.setFlags(agent, flags);
    core.controller.changed();
    this.trace.note(how, agent);
  }

  /** Nothing is wrong with its line now. */
  hasGoodLine(machine: Machine): boolean {
    const { latencyMs, bytesPerMs } = this.#lines.get(machine)!;
    return !machine.isHole && machine.latencyMs === latencyMs && machine.bytesPerMs === bytesPerMs;
  }

  /** The machine's line is as it was. */
  mend(machine: Machine): void {
    Object.assign(machine, this.#lines.get(machine));
    machine.isHole = false;
    this.network.heal();
  }

  close(): void {
    this.manager.crash();
    for (const agent of this.agents) agent.crash(false);
    for (const client of this.clients) client.vanish(false);
    this.manager.store.close();
  }

  /** A run ends with its first failure; an error that nobody caught is one. */
  #runUntil(untilMs: number): void {
    try {
      this.timeline.run(untilMs);
    } catch (thrown) {
      this.fail("no stray errors", thrown instanceof Error ? thrown.stack ?? thrown.message : String(thrown));
    }
  }

  #heal(): void {
    this.trace.note("heals");
    this.hasFaults = false;
    this.manager.isDiskFull = false;
    this.manager.writesToCrash = Infinity;
    for (const machine of this.#lines.keys()) this.mend(machine);
    this.manager.process?.thaw();
    for (const agent of this.agents) {
      agent.wake();
      agent.process?.thaw();
    }
    for (const client of this.clients) {
      client.thaw();
      client.resumeReading();
    }
    this.#startAll();
  }

  /** Again and again: one that was about to stop may end later. */
  #startAll(): void {
    if (this.manager.process === null) this.manager.start();
    for (const agent of this.agents) agent.start();
    for (const client of this.clients) client.start();
  }
}

/** Runs one seed from its start to its end. Must be called outside of any microtask. */
export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const world = new World(seed, options);
  world.run();
  return {
    seed,
    failure: world.failure,
    hash: world.trace.hash,
    events: world.timeline.count,
    operations: world.operations.length,
    outcomes: world.outcomes,
    rollouts: world.rollouts,
    lines: world.trace.lines,
    plan: world.plan,
  };
}

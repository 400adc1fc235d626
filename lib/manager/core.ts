/**
 * The part of the manager that knows the cluster: registry, routes, dispatcher, deployment loop, metrics, logs, and
 * the tick that judges liveness. It has no network; sessions and the API are put on top of it.
 */
import { Agents, type DampingChange } from "../cluster/agents.ts";
import { emptyRoutes, type RoutingTable } from "../cluster/routing.ts";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import { createDispatcher, type Dispatcher } from "../scheduling/dispatcher.ts";
import type { Store } from "../store/store.ts";
import { Traffic } from "../deployment/traffic.ts";
import { Controller } from "./controller.ts";
import { createEventLog, type EventLog } from "./events.ts";
import { findDropped } from "./endpoint_guard.ts";
import { Judge } from "./judge.ts";
import { Scaler } from "./scaler.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { ModuleLogs } from "./module_logs.ts";
import { ReplicaCounts } from "./replica_counts.ts";
import { Overload } from "./overload.ts";
import { createTelling, type Telling } from "./telling.ts";

export interface CoreOptions {
  clock: Clock;
  random: Random;
  log: Log;
  store: Store;
  version: string;
  cluster: string;
  /** The number of this start. */
  bootEpoch: number;
}

export interface Core {
  readonly agents: Agents;
  readonly controller: Controller;
  readonly dispatcher: Dispatcher;
  readonly metrics: Metrics;
  readonly events: EventLog;
  /** How long the last waking of a set took. */
  coldStartMs(replicaSet: string): number | undefined;
  /** What a set with these functions would take away from those who called it lately, in words. */
  dropped(replicaSet: string, functions: readonly string[]): string | undefined;
  /** What its rollout is judged by. */
  judged: Judge["figures"];
  readonly replicaCounts: ReplicaCounts;
  readonly logs: ModuleLogs;
  readonly telling: Telling;
  /** Resolves when others have been told the last; all else has ended before. */
  close(): Promise<void>;
}

export function createCore(options: CoreOptions): Core {
  const { clock, random, log, store, bootEpoch } = options;
  const events = createEventLog(store.events, clock, log);
  const agents = new Agents(clock);
  restoreAgents(agents, store);
  const telling = createTelling(options, events);
  const overload = new Overload(events.record);
  let routes: RoutingTable = emptyRoutes;
  const dispatcher = createDispatcher({
    clock,
    random,
    bootEpoch,
    routes: () => routes,
    onStarved: (name) => scaler.starved(name),
    onOutcome(outcome, request) {
      metrics.observeRequest(outcome);
      telling.traces.observe(outcome, request);
      if (outcome.code === "queue_full") overload.observe(outcome.replicaSet, outcome.message, clock.nowMs());
      // What an agent took with it is no fault of what it ran.
      const isLost = outcome.code === "agent_lost" && !agents.get(outcome.agent)?.connection;
      if (!isLost) traffic.observe(outcome);
    },
  });
  const traffic = new Traffic();
  const lately = (endpoint: string) => wasCalled(endpoint, traffic, metrics, clock.nowMs());
  const metrics = createMetrics({ store, clock, log, bootEpoch }, function* () {
    for (const [set, { queued }] of dispatcher.snapshot().sets) yield [set, queued];
  });
  const scaler: Scaler = new Scaler({
    clock,
    store: store.deployments,
    sets: () => controller.sets,
    load: () => dispatcher.snapshot(),
    record: events.record,
    changed: () => controller.reload(),
  });
  const revisions: Judge = createJudge(clock, traffic, store, () => controller);
  const replicaCounts = createReplicaCounts(options, agents, metrics, () => controller);
  const controller: Controller = new Controller({
    clock,
    deployments: store.deployments,
    agents,
    record: events.record,
    transaction: store.transaction,
    bootEpoch,
    wasCalled: lately,
    isUndecided: (set, rollout) => revisions.isUndecided(set, rollout),
    publish(table) {
      routes = table;
      dispatcher.routesChanged();
      scaler.routed(table);
      replicaCounts.touch();
    },
  });
  const stopWatching = clock.every(limits.livenessTickMs, () => {
    judge(agents, controller, events);
    overload.tick(clock.nowMs());
  });
  const logs = new ModuleLogs(store.logs, bootEpoch);
  const flushLogs = (all: boolean) => {
    try {
      logs.flush(all);
    } catch (thrown) {
      log.warn("what modules printed could not be stored; it is kept and tried again", {
        error: describeError(thrown),
      });
    }
  };
  const stopFlushing = clock.every(limits.logFlushMs, () => flushLogs(false));
  controller.changed();
  return {
    agents,
    controller,
    dispatcher,
    metrics,
    events,
    coldStartMs: (name) => scaler.coldStartMs(name),
    judged: (name) => revisions.figures(name),
    replicaCounts,
    logs,
    dropped(name, functions) {
      const known = [...routes.sets.get(name)?.endpoints.values() ?? []];
      const before = known.map(({ description }) => description.name);
      return findDropped({ name, before, functions, wasCalled: lately });
    },
    telling,
    close() {
      stopWatching();
      scaler.close();
      revisions.close();
      replicaCounts.close();
      stopFlushing();
      flushLogs(true);
      controller.close();
      dispatcher.close();
      metrics.close();
      return telling.close();
    },
  };
}

function restoreAgents(agents: Agents, store: Store): void {
  agents.restore(
    store.agents.list().map((agent) => ({
      name: agent.name,
      identity: agent.identity,
      labels: agent.labels,
      cordoned: agent.cordoned,
      draining: agent.draining,
      joinedAtMs: agent.firstJoinedMs,
      lastSeenAtMs: agent.lastSeenMs,
    })),
  );
}

function createJudge(clock: Clock, traffic: Traffic, store: Store, controller: () => Controller): Judge {
  const setOf = (name: string) => controller().routes.sets.get(name);
  return new Judge({
    clock,
    traffic,
    sets: () => controller().sets,
    rollout: (name) => controller().rollout(name),
    endpoints: (name) => [...setOf(name)?.endpoints.keys() ?? []],
    isServing: (name, revision) =>
      setOf(name)?.replicas.some((replica) => replica.revision === revision) ?? false,
    object: (name, revision, reason) => controller().object(name, revision, reason),
    decided: () => controller().changed(),
    history: store.deployments.rollouts,
  });
}

function createReplicaCounts(
  { clock, store, log }: CoreOptions,
  agents: Agents,
  metrics: Metrics,
  controller: () => Controller,
): ReplicaCounts {
  return new ReplicaCounts({
    clock,
    store: store.replicaCounts,
    facts: () => ({
      agents: agents.list(),
      sets: controller().sets,
      assignments: (agent) => controller().assignments(agent),
    }),
    lastSignMs: metrics.lastSignMs,
    onWriteFailure(cause) {
      log.warn("how many replicas there were could not be stored; it is kept and tried again", {
        error: describeError(cause),
      });
    },
  });
}

/** By what this manager has seen, and by what an earlier one has stored. */
function wasCalled(endpoint: string, traffic: Traffic, metrics: Metrics, nowMs: number): boolean {
  return (traffic.lastCalledMs(endpoint, nowMs) ?? 0) >= nowMs - limits.calledLatelyMs ||
    metrics.wasCalled(endpoint);
}

/** A silent agent first gets no new requests, then its connection is given up: it comes back by dialling anew. */
function judge(agents: Agents, controller: Controller, events: EventLog): void {
  const changes = agents.tick();
  for (const { agent, to, reason } of changes) {
    if (to === "ready") events.record("info", "agent_ready", agent, `Agent ${agent} reports again`);
    else events.record("warn", `agent_${to}`, agent, `Agent ${agent} is ${to}: ${reason}`);
    if (to === "lost") agents.get(agent)?.connection?.abandon(reason);
  }
  const damping = agents.dampingChanges();
  for (const change of damping) recordDamping(change, events);
  if (changes.length + damping.length > 0) controller.changed();
}

function recordDamping({ agent, damped, penalty, untilAtMs }: DampingChange, events: EventLog): void {
  const weight = `its losses weigh ${penalty.toFixed(1)}`;
  if (!damped) {
    events.record("info", "agent_undamped", agent, `Agent ${agent} is damped no more: ${weight}`);
    return;
  }
  const until = new Date(untilAtMs).toISOString().slice(11, 19);
  events.record(
    "warn",
    "agent_damped",
    agent,
    `Agent ${agent} is damped: ${weight}, more than ${limits.dampingPenalty}. It gets requests only where ` +
      `nobody else can serve, until ${until} UTC if it is not lost again`,
  );
}

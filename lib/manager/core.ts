/**
 * The part of the manager that knows the cluster: registry, routes, dispatcher, deployment loop, metrics, logs, and
 * the tick that judges liveness. It has no network; sessions and the API are put on top of it.
 */
import { Agents } from "../cluster/agents.ts";
import { emptyRoutes, type RoutingTable } from "../cluster/routing.ts";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import { createDispatcher, type Dispatcher } from "../scheduling/dispatcher.ts";
import type { Store } from "../store/store.ts";
import { Controller } from "./controller.ts";
import { createEventLog, type EventLog } from "./events.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { ModuleLogs } from "./module_logs.ts";
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
  readonly logs: ModuleLogs;
  readonly telling: Telling;
  /** Resolves when others have been told the last; all else has ended before. */
  close(): Promise<void>;
}

export function createCore(options: CoreOptions): Core {
  const { clock, random, log, store, bootEpoch } = options;
  const events = createEventLog(store.events, clock, log);
  const agents = new Agents(clock);
  agents.restore(
    store.agents.list().map((agent) => ({
      name: agent.name,
      identity: agent.identity,
      labels: agent.labels,
      cordoned: agent.cordoned,
      joinedAtMs: agent.firstJoinedMs,
      lastSeenAtMs: agent.lastSeenMs,
    })),
  );
  const telling = createTelling(options, events);
  const overload = new Overload(events.record);
  let routes: RoutingTable = emptyRoutes;
  const dispatcher = createDispatcher({
    clock,
    random,
    bootEpoch,
    routes: () => routes,
    onOutcome(outcome, request) {
      metrics.observeRequest(outcome);
      telling.traces.observe(outcome, request);
      if (outcome.code === "queue_full") overload.observe(outcome.replicaSet, outcome.message, clock.nowMs());
    },
  });
  const metrics = createMetrics({ store, clock, log, bootEpoch }, function* () {
    for (const [set, { queued }] of dispatcher.snapshot().sets) yield [set, queued];
  });
  const controller = new Controller({
    clock,
    deployments: store.deployments,
    agents,
    record: events.record,
    bootEpoch,
    publish(table) {
      routes = table;
      dispatcher.routesChanged();
    },
  });
  const logs = new ModuleLogs(store.logs);
  const flushLogs = () => {
    try {
      logs.flush();
    } catch (thrown) {
      log.warn("what modules printed could not be stored; it is kept and tried again", {
        error: describeError(thrown),
      });
    }
  };
  const stopFlushing = clock.every(limits.logFlushMs, flushLogs);
  const stopJudging = clock.every(limits.livenessTickMs, () => {
    judge(agents, controller, events);
    overload.tick(clock.nowMs());
  });
  controller.changed();
  return {
    agents,
    controller,
    dispatcher,
    metrics,
    events,
    logs,
    telling,
    close() {
      stopJudging();
      stopFlushing();
      flushLogs();
      controller.close();
      dispatcher.close();
      metrics.close();
      return telling.close();
    },
  };
}

/** A silent agent first gets no new requests, then its connection is given up: it comes back by dialling anew. */
function judge(agents: Agents, controller: Controller, events: EventLog): void {
  const changes = agents.tick();
  for (const { agent, to, reason } of changes) {
    if (to === "ready") events.record("info", "agent_ready", agent, `Agent ${agent} reports again`);
    else events.record("warn", `agent_${to}`, agent, `Agent ${agent} is ${to}: ${reason}`);
    if (to === "lost") agents.get(agent)?.connection?.abandon(reason);
  }
  if (changes.length > 0) controller.changed();
}

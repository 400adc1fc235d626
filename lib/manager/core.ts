/**
 * The part of the manager that knows the cluster: registry, routes, dispatcher, deployment loop, metrics, and the
 * tick that judges liveness. It has no network; sessions and the API are put on top of it.
 */
import { Agents } from "../cluster/agents.ts";
import { emptyRoutes, type RoutingTable } from "../cluster/routing.ts";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Random } from "../random.ts";
import { createDispatcher, type Dispatcher } from "../scheduling/dispatcher.ts";
import type { Store } from "../store/store.ts";
import { Controller } from "./controller.ts";
import { createEventLog, type EventLog } from "./events.ts";
import { createMetrics, type Metrics } from "./metrics.ts";

export interface CoreOptions {
  clock: Clock;
  random: Random;
  log: Log;
  store: Store;
  /** The number of this start. */
  bootEpoch: number;
}

export interface Core {
  readonly agents: Agents;
  readonly controller: Controller;
  readonly dispatcher: Dispatcher;
  readonly metrics: Metrics;
  readonly events: EventLog;
  close(): void;
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
  let routes: RoutingTable = emptyRoutes;
  const dispatcher = createDispatcher({
    clock,
    random,
    bootEpoch,
    routes: () => routes,
    onOutcome: (outcome) => metrics.observeRequest(outcome),
  });
  const metrics = createMetrics({ store, clock, log }, function* () {
    for (const [set, { queued }] of dispatcher.snapshot().sets) yield [set, queued];
  });
  const controller = new Controller({
    clock,
    deployments: store.deployments,
    agents,
    record: events.record,
    transaction: store.transaction,
    bootEpoch,
    publish(table) {
      routes = table;
      dispatcher.routesChanged();
    },
  });
  const stopJudging = clock.every(limits.livenessTickMs, () => judge(agents, controller, events));
  controller.changed();
  return {
    agents,
    controller,
    dispatcher,
    metrics,
    events,
    close() {
      stopJudging();
      controller.close();
      dispatcher.close();
      metrics.close();
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

// @ts-check
/**
 * What the cluster looked like at the end of a time in the past, in the shape of an overview: history and events →
 * here → the views, which show it as they show the present. Pure. What no history holds is left out, never filled in.
 */

/**
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 * @typedef {import("../lib/protocol/views.ts").EndpointView} EndpointView
 * @typedef {import("../lib/protocol/views.ts").ReplicaSetView} ReplicaSetView
 * @typedef {import("../lib/protocol/views.ts").MetricsView} MetricsView
 * @typedef {import("../lib/protocol/views.ts").EventView} EventView
 * @typedef {import("../lib/protocol/views.ts").PastRolloutView} PastRolloutView
 * @typedef {object} PastFacts
 * @property {Record<string, MetricsView>} metrics by series
 * @property {EventView[]} events of agents, up to then
 * @property {PastRolloutView[]} rollouts newest first
 */

/** The series that are asked for. */
export const pastSeries = [
  "cpu",
  "memory",
  "temperature",
  "outstanding",
  "requests",
  "errors",
  "endpointLatency",
  "queue",
];

/** What each kind of event says of its agent. @type {Record<string, Partial<AgentView> | null>} */
const said = {
  agent_joined: { health: "ready" },
  agent_returned: { health: "ready" },
  agent_ready: { health: "ready" },
  agent_suspect: { health: "suspect" },
  agent_lost: { health: "lost" },
  agent_leaving: { health: "lost" },
  agent_cordoned: { cordoned: true },
  agent_uncordoned: { cordoned: false, draining: false },
  agent_drained: { cordoned: true, draining: true },
  agent_removed: null,
};
export const pastKinds = Object.keys(said);

/** A column may end a little before the time does: the last telemetry, the last whole step. */
const lastPoints = 3;
/** A metrics answer has at most so many columns, the largest; what is left out of a full one is not known. */
const columnsMax = 50;

/** @param {MetricsView | undefined} view @param {string} label */
function valuesOf(view, label) {
  return view?.columns.find((column) => column.label === label)?.values;
}

/** @param {(number | null)[] | undefined} values */
function last(values) {
  return values?.slice(-lastPoints).findLast((value) => value !== null) ?? undefined;
}

/**
 * The mean of a rate; undefined where the answer leaves it open.
 * @param {MetricsView | undefined} view
 * @param {string} label
 */
function meanRate(view, label) {
  const values = valuesOf(view, label);
  if (!values) return view === undefined || view.columns.length >= columnsMax ? undefined : 0;
  const sum = values.reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);
  return values.length === 0 ? undefined : sum / values.length;
}

/** @param {MetricsView | undefined} view @param {string} label */
function mean(view, label) {
  const known = (valuesOf(view, label) ?? []).filter((value) => value !== null);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length;
}

/**
 * @param {OverviewView} now
 * @param {PastFacts} facts
 * @param {number} atMs the end of the time
 * @returns {OverviewView}
 */
export function describePast(now, facts, atMs) {
  const agents = pastAgents(now, facts, atMs);
  const endpoints = now.endpoints.map((view) => pastEndpoint(view, facts));
  const replicaSets = now.replicaSets.flatMap((set) => pastSet(set, facts, atMs));
  const sum = (/** @type {(number | undefined)[]} */ values) =>
    values.reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);
  const away = agents.filter(({ health }) => health !== "ready");
  return {
    cluster: {
      ...now.cluster,
      health: away.length === 0 ? "ok" : "degraded",
      problems: away.filter(({ health }) => health === "lost" || health === "suspect")
        .map(({ name, health }) => `Agent ${name} was ${health}`),
      configurationErrors: [],
      requestsPerSecond: sum(endpoints.map((view) => view.requestsPerSecond)),
      errorsPerSecond: sum(endpoints.map((view) => view.errorsPerSecond)),
      queued: sum(replicaSets.map(({ queued }) => queued)),
      outstanding: sum(agents.map(({ outstanding }) => outstanding)),
    },
    agents,
    endpoints,
    replicaSets,
    events: now.events.filter((event) => event.atMs <= atMs),
  };
}

/** @param {OverviewView} now @param {PastFacts} facts @param {number} atMs @returns {AgentView[]} */
function pastAgents(now, { metrics, events }, atMs) {
  /** @type {Map<string, Partial<AgentView> | null>} */
  const known = new Map();
  for (const { kind, subject, atMs: eventMs } of events) {
    if (eventMs > atMs || !Object.hasOwn(said, kind)) continue;
    const change = said[kind];
    const before = change === null ? null : known.get(subject) ?? {};
    known.set(subject, before && { ...before, ...change, lastSeenAtMs: eventMs });
  }
  const measured = (metrics.cpu?.columns ?? []).filter(({ values }) => last(values) !== undefined);
  const names = new Set([
    ...now.agents.map(({ name }) => name),
    ...[...known].filter(([, state]) => state !== null).map(([name]) => name),
    ...measured.map(({ label }) => label),
  ]);
  for (const [name, state] of known) if (state === null) names.delete(name);
  return [...names].map((name) => pastAgent(name, now, known.get(name) ?? undefined, metrics));
}

/**
 * @param {string} name
 * @param {OverviewView} now
 * @param {Partial<AgentView> | undefined} state what events say of it
 * @param {Record<string, MetricsView>} metrics
 * @returns {AgentView}
 */
function pastAgent(name, now, state, metrics) {
  const live = now.agents.find((agent) => agent.name === name);
  const [cpu, memory, temperatureC, outstanding] = ["cpu", "memory", "temperature", "outstanding"]
    .map((series) => last(valuesOf(metrics[series], name)));
  // Who sent telemetry was there, whatever events are kept.
  const health = state?.health ?? (cpu === undefined ? "not recorded" : "ready");
  const isMeasured = cpu !== undefined && health !== "lost";
  return {
    name,
    ...{ cordoned: false, draining: false, address: "", version: "", labels: {}, cores: 0 },
    ...(live ? { address: live.address, version: live.version, labels: live.labels, cores: live.cores } : {}),
    ...{ slots: 0, agentCpuCores: 0, agentMemoryBytes: 0, replicas: [], joinedAtMs: 0, lastSeenAtMs: 0 },
    ...state,
    health: /** @type {AgentView["health"]} */ (health),
    outstanding: isMeasured ? outstanding ?? 0 : 0,
    ...(isMeasured
      ? {
        host: {
          cpu,
          load1: NaN,
          memoryUsedBytes: memory ?? NaN,
          memoryTotalBytes: live?.host?.memoryTotalBytes ?? NaN,
          ...(temperatureC === undefined ? {} : { temperatureC }),
        },
      }
      : {}),
  };
}

/** Means over the time. @param {EndpointView} view @param {PastFacts} facts @returns {EndpointView} */
function pastEndpoint(view, { metrics }) {
  const unknown = /** @type {any} */ (undefined);
  return {
    ...view,
    readyReplicas: unknown,
    requestsPerSecond: meanRate(metrics.requests, view.endpoint) ?? unknown,
    errorsPerSecond: meanRate(metrics.errors, view.endpoint) ?? unknown,
    p50Ms: undefined,
    p95Ms: mean(metrics.endpointLatency, view.endpoint),
    p99Ms: undefined,
    totalRequests: unknown,
    totalErrors: unknown,
  };
}

/**
 * The revision that its rollouts say was in force, 0 when none does; no set when it did not exist yet.
 * @param {ReplicaSetView} set
 * @param {PastFacts} facts
 * @param {number} atMs
 * @returns {ReplicaSetView[]}
 */
function pastSet(set, { metrics, rollouts }, atMs) {
  const own = rollouts.filter(({ replicaSet }) => replicaSet === set.name);
  const begun = own.filter(({ startedAtMs }) => startedAtMs <= atMs);
  if (own.length > 0 && begun.length === 0 && (own.at(-1)?.fromRevision ?? 0) === 0) return [];
  const [newest, ...older] = begun;
  const isFailed = newest?.state === "failed" && (newest.endedAtMs ?? Infinity) <= atMs;
  const inForce = isFailed ? older.find(({ toRevision }) => toRevision === newest.fromRevision) : newest;
  const revision = isFailed ? newest.fromRevision : newest?.toRevision ?? own.at(-1)?.fromRevision ?? 0;
  const unknown = /** @type {any} */ (undefined);
  return [{
    ...set,
    revision,
    version: inForce?.version || "version not recorded",
    ready: unknown,
    wanted: unknown,
    queued: last(valuesOf(metrics.queue, set.name)) ?? 0,
    outstanding: unknown,
    placements: [],
    rollout: undefined,
    pendingReason: undefined,
  }];
}

const stepKinds = /^(rollout_|canary_|deployed|queue_full)/;
/** They begin another one. */
const nextKinds = ["deployed", "rollout_undone", "rollout_started"];

/**
 * A rollout's own events of those around it, oldest first: those until its end, and later ones until the next rollout begins.
 * @param {EventView[]} events
 * @param {PastRolloutView} rollout
 */
export function stepsOf(events, { state, endedAtMs = Infinity }) {
  const known = events.filter(({ kind }) => stepKinds.test(kind)).sort((a, b) => a.id - b.id);
  const isNext = (/** @type {EventView} */ { kind, atMs }) =>
    nextKinds.includes(kind) && (state === "replaced" ? atMs >= endedAtMs : atMs > endedAtMs);
  const next = known.findIndex(isNext);
  return next < 0 ? known : known.slice(0, next);
}

// @ts-check
/**
 * What the cluster looked like at the end of a time in the past, in the shape of an overview: history and events →
 * here → the views, which show it as they show the present. Pure. What no history holds is left out, never filled in.
 */
import { plural } from "./format.js";

/**
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 * @typedef {import("../lib/protocol/views.ts").AgentView} AgentView
 * @typedef {import("../lib/protocol/views.ts").EndpointView} EndpointView
 * @typedef {import("../lib/protocol/views.ts").ReplicaSetView} ReplicaSetView
 * @typedef {import("../lib/protocol/views.ts").EventView} EventView
 * @typedef {import("../lib/protocol/views.ts").PastRolloutView} PastRolloutView
 * @typedef {import("../lib/protocol/views.ts").PastView} PastView
 * @typedef {import("../lib/protocol/views.ts").EndpointPastView} EndpointPastView
 * @typedef {object} PastFacts
 * @property {EventView[]} events of agents, up to then
 * @property {PastView} past
 * @property {EndpointPastView[] | null} endpoints null until they have come
 */

/** How long after its last loss an agent is damped at most. */
const dampedMsMax = 60_000;
const damped = { untilMs: NaN };

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
  agent_damped: { damped },
  agent_undamped: { damped: undefined },
  agent_removed: null,
};
export const pastKinds = Object.keys(said);

/**
 * @param {OverviewView} now
 * @param {PastFacts} facts
 * @param {number} atMs the end of the time
 * @returns {OverviewView}
 */
export function describePast(now, facts, atMs) {
  const agents = pastAgents(now, facts, atMs);
  const called = new Map(facts.endpoints?.map((view) => [view.endpoint, view]));
  const endpoints = now.endpoints.map((view) =>
    pastEndpoint(view, facts.endpoints && called.get(view.endpoint))
  );
  const sets = new Map(facts.past.replicaSets.map((set) => [set.name, set]));
  const replicaSets = now.replicaSets.flatMap((set) => {
    const then = sets.get(set.name);
    return then ? [pastSet(set, then)] : [];
  });
  const sum = (/** @type {(number | undefined)[]} */ values) =>
    values.reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);
  const away = agents.filter(({ health }) => health !== "ready");
  const short = replicaSets.filter(({ ready, wanted }) => ready < wanted);
  const expected = replicaSets.filter(({ wanted }) => wanted > 0);
  const isDown = expected.length > 0 && expected.every(({ ready }) => ready === 0);
  return {
    cluster: {
      ...now.cluster,
      health: isDown ? "down" : away.length + short.length === 0 ? "ok" : "degraded",
      problems: [
        ...away.filter(({ health }) => health === "lost" || health === "suspect")
          .map(({ name, health }) => `Agent ${name} was ${health}`),
        ...agents.filter((agent) => agent.damped).map(({ name }) => `Agent ${name} was damped`),
        ...short.map(({ name, ready, wanted }) =>
          `${name} had ${ready} of ${plural(wanted, "replica")} ready`
        ),
      ],
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
function pastAgents(now, { past, events }, atMs) {
  /** @type {Map<string, Partial<AgentView> | null>} */
  const known = new Map();
  /** @type {Map<string, number>} */
  const lastLoss = new Map();
  for (const { kind, subject, atMs: eventMs } of events) {
    if (eventMs > atMs || !Object.hasOwn(said, kind)) continue;
    const change = said[kind];
    if (kind === "agent_lost" || kind === "agent_damped") lastLoss.set(subject, eventMs);
    const before = change === null ? null : known.get(subject) ?? {};
    known.set(subject, before && { ...before, ...change, lastSeenAtMs: eventMs });
  }
  const measured = new Map(past.agents.map((agent) => [agent.name, agent]));
  const names = new Set([
    ...now.agents.map(({ name }) => name),
    ...[...known].filter(([, state]) => state !== null).map(([name]) => name),
    ...measured.keys(),
  ]);
  for (const [name, state] of known) {
    if (state === null) names.delete(name);
    // A manager that began anew in between has forgotten it, and told nobody.
    else if (atMs - (lastLoss.get(name) ?? 0) > dampedMsMax) state.damped = undefined;
  }
  return [...names].map((name) => pastAgent(name, now, known.get(name) ?? undefined, measured.get(name)));
}

/**
 * @param {string} name
 * @param {OverviewView} now
 * @param {Partial<AgentView> | undefined} state what events say of it
 * @param {PastView["agents"][number] | undefined} told
 * @returns {AgentView}
 */
function pastAgent(name, now, state, told) {
  const live = now.agents.find((agent) => agent.name === name);
  /** @type {Partial<PastView["agents"][number]>} */
  const { cpu, memory, temperature: temperatureC, outstanding } = told ?? {};
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

/**
 * Over the whole time.
 * @param {EndpointView} view
 * @param {EndpointPastView | undefined | null} then undefined: nobody called it; null: not known yet
 * @returns {EndpointView}
 */
function pastEndpoint(view, then) {
  const unknown = /** @type {any} */ (undefined);
  return {
    ...view,
    readyReplicas: unknown,
    requestsPerSecond: then === null ? unknown : then?.requestsPerSecond ?? 0,
    errorsPerSecond: then === null ? unknown : then?.errorsPerSecond ?? 0,
    p50Ms: then?.p50Ms,
    p95Ms: then?.p95Ms,
    p99Ms: then?.p99Ms,
    totalRequests: unknown,
    totalErrors: unknown,
  };
}

/**
 * @param {ReplicaSetView} set
 * @param {PastView["replicaSets"][number]} then
 * @returns {ReplicaSetView}
 */
function pastSet(set, { revision = 0, version = "version not recorded", ready, wanted, queued }) {
  const unknown = /** @type {any} */ (undefined);
  return {
    ...set,
    ...{ revision, version, queued },
    ready: ready ?? unknown,
    wanted: wanted ?? unknown,
    outstanding: unknown,
    placements: [],
    rollout: undefined,
    pendingReason: undefined,
  };
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

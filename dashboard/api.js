// @ts-check
/**
 * The manager's HTTP API as the page uses it. Every failure, also of the network, becomes an `ApiError` whose
 * message is a sentence for a person. The session is a cookie that this code never sees.
 */

/** @typedef {import("../lib/protocol/views.ts").MetricsView} MetricsView */
/** @typedef {{ name: string, role: "admin" | "operator" | "client" | "agent" | "viewer", endpoints?: string[] }} Session */

export class ApiError extends Error {
  /**
   * @param {number} status 0: the manager could not be reached
   * @param {string} code
   * @param {string} message
   * @param {number | null} retryAfterSeconds
   */
  constructor(status, code, message, retryAfterSeconds = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * @param {string} path
 * @param {{ method?: string, body?: unknown, signal?: AbortSignal }} [options] `body` is sent as JSON
 * @returns {Promise<any>} the parsed JSON answer; null when there is none
 */
export async function call(path, options = {}) {
  const response = await send(path, {
    method: options.method ?? "GET",
    signal: options.signal,
    headers: {
      accept: "application/json",
      ...(options.body === undefined ? {} : { "content-type": "application/json" }),
    },
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
  });
  const text = await response.text();
  return text === "" ? null : JSON.parse(text);
}

/**
 * A request whose answer may be anything, for the try-out box.
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<Response>} with a status of success
 */
export async function send(path, init) {
  let response;
  try {
    response = await fetch(path, { ...init, credentials: "same-origin" });
  } catch (thrown) {
    if (/** @type {Error} */ (thrown).name === "AbortError") throw thrown;
    throw new ApiError(
      0,
      "manager_lost",
      "The manager does not answer. Is it running, and is this network up?",
    );
  }
  if (!response.ok) throw await readError(response);
  return response;
}

/** @param {Response} response */
async function readError(response) {
  const header = Number(response.headers.get("retry-after"));
  let error;
  try {
    error = (await response.json()).error;
  } catch {
    error = null;
  }
  const fromDetails = Number(error?.details?.retryAfterMs) / 1000;
  const seconds = header > 0 ? header : fromDetails > 0 ? Math.ceil(fromDetails) : null;
  return new ApiError(
    response.status,
    String(error?.code ?? "internal"),
    String(error?.message ?? `The manager answered ${response.status}`),
    seconds,
  );
}

/** Who is signed in; null when nobody is. @returns {Promise<Session | null>} */
export async function getSession() {
  try {
    return (await call("/v1/session")).user;
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 401) return null;
    throw thrown;
  }
}

/**
 * @param {string} user
 * @param {string} password
 * @returns {Promise<Session>}
 */
export async function signIn(user, password) {
  await call("/v1/session", { method: "POST", body: { user, password } });
  const session = await getSession();
  if (session) return session;
  throw new ApiError(
    0,
    "unauthenticated",
    "Signed in, but this browser did not keep the cookie; allow cookies here",
  );
}

/** @returns {Promise<void>} */
export async function signOut() {
  await call("/v1/session", { method: "DELETE" });
}

/**
 * @param {{ series: string, subject?: string, fromMs: number, toMs: number, signal?: AbortSignal }} query
 * @returns {Promise<MetricsView>}
 */
export function getMetrics({ series, subject, fromMs, toMs, signal }) {
  const query = new URLSearchParams({
    series,
    fromMs: String(Math.floor(fromMs)),
    toMs: String(Math.ceil(toMs)),
  });
  if (subject) query.set("subject", subject);
  return call(`/v1/metrics?${query}`, { signal });
}

/**
 * @param {string} replicaSet
 * @param {number | "all" | "auto"} replicas
 * @returns {Promise<{ warnings: string[] }>}
 */
export function scale(replicaSet, replicas) {
  return call(`/v1/replicasets/${encodeURIComponent(replicaSet)}/replicas`, {
    method: "PUT",
    body: { replicas },
  });
}

/**
 * Back to the newest revision before that did not fail, or to a named one.
 * @param {string} replicaSet
 * @param {number} [toRevision]
 * @returns {Promise<import("../lib/protocol/deploy_views.ts").DeployView>}
 */
export function undo(replicaSet, toRevision) {
  const body = toRevision === undefined ? {} : { toRevision };
  return call(`/v1/replicasets/${encodeURIComponent(replicaSet)}/rollback`, { method: "POST", body });
}

/**
 * Holds a rollout, or lets it go on.
 * @param {string} replicaSet
 * @param {"pause" | "resume"} verb
 */
export function hold(replicaSet, verb) {
  return call(`/v1/replicasets/${encodeURIComponent(replicaSet)}/${verb}`, { method: "POST", body: {} });
}

/**
 * Moves what runs on an agent to others. @param {string} agent
 * @returns {Promise<{ warnings: string[] }>}
 */
export function drain(agent) {
  return call(`/v1/agents/${encodeURIComponent(agent)}/drain`, { method: "POST", body: {} });
}

/** Forgets an agent that never returns. @param {string} agent */
export function removeAgent(agent) {
  return call(`/v1/agents/${encodeURIComponent(agent)}`, { method: "DELETE" });
}

/**
 * @param {string} agent
 * @param {boolean} cordoned true: it takes no new replicas
 */
export function cordon(agent, cordoned) {
  return call(`/v1/agents/${encodeURIComponent(agent)}/cordon`, { method: "PUT", body: { cordoned } });
}

/** A join token for one more machine. @returns {Promise<string>} */
export async function createAgentToken() {
  return (await call("/v1/tokens", { method: "POST", body: { role: "agent" } })).token;
}

/**
 * @param {string} replicaSet
 * @returns {Promise<import("../lib/protocol/views.ts").RevisionView[]>} newest first
 */
export async function getRevisions(replicaSet) {
  const { revisions } = await call(`/v1/revisions?replicaSet=${encodeURIComponent(replicaSet)}`);
  return revisions.sort((/** @type {any} */ a, /** @type {any} */ b) => b.revision - a.revision);
}

/** @typedef {import("../lib/protocol/views.ts").LogLineView} LogLineView */

/**
 * @param {string} replicaSet
 * @param {number} afterId 0: the newest lines there are
 * @param {Record<string, string>} filters `agent`, `level`, `contains`, `requestId`; empty ones count as none
 * @returns {Promise<LogLineView[]>} oldest first
 */
export async function getLogs(replicaSet, afterId, filters) {
  const given = Object.entries(filters).filter(([, value]) => value !== "");
  const query = new URLSearchParams([...given, ["afterId", String(afterId)], ["limit", "400"]]);
  return (await call(`/v1/logs/${encodeURIComponent(replicaSet)}?${query}`)).lines;
}

/**
 * @param {string} endpoint
 * @returns {Promise<import("../lib/protocol/views.ts").RequestsView>} of the last hour
 */
export function getRequests(endpoint) {
  return call(`/v1/requests?${new URLSearchParams({ endpoint, limit: "10" })}`);
}

/**
 * @param {number} fromMs
 * @param {number} toMs
 * @param {number} limit
 * @param {{ subject?: string, kind?: string }} [about] `kind` may be several with commas between
 * @returns {Promise<import("../lib/protocol/views.ts").EventView[]>} the newest of that time
 */
export async function getEventsBetween(fromMs, toMs, limit, about = {}) {
  const query = { sinceMs: Math.floor(fromMs), untilMs: Math.ceil(toMs), limit, ...about };
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  return (await call(`/v1/events?${parameters}`)).events;
}

/**
 * Agents and replicaSets at a moment.
 * @param {number} atMs
 * @returns {Promise<import("../lib/protocol/views.ts").PastView>}
 */
export function getPast(atMs) {
  return call(`/v1/past?atMs=${atMs}`);
}

/**
 * All endpoints that had requests over a time.
 * @param {number} fromMs
 * @param {number} toMs
 * @returns {Promise<import("../lib/protocol/views.ts").EndpointPastView[]>}
 */
export async function getPastEndpoints(fromMs, toMs) {
  return (await call(`/v1/past/endpoints?fromMs=${fromMs}&toMs=${toMs}`)).endpoints;
}

/**
 * @param {{ replicaSet?: string, untilMs?: number }} [about] `untilMs`: those that began before it
 * @returns {Promise<import("../lib/protocol/views.ts").PastRolloutView[]>} newest first
 */
export async function getRollouts({ replicaSet, untilMs } = {}) {
  const query = new URLSearchParams();
  if (replicaSet !== undefined) query.set("replicaSet", replicaSet);
  if (untilMs !== undefined) query.set("untilMs", String(untilMs));
  return (await call(`/v1/rollouts?${query}`)).rollouts;
}

/**
 * @param {number} limit
 * @returns {Promise<import("../lib/protocol/views.ts").EventView[]>}
 */
export async function getEvents(limit) {
  return (await call(`/v1/events?limit=${limit}`)).events;
}

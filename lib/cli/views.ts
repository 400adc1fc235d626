/**
 * What the API answers, as tables: one list of columns for each kind that `client get` knows. Pure.
 */
import { counted } from "../words.ts";
import type { ReplicaCount } from "../protocol/revision.ts";
import type {
  AgentView,
  EndpointView,
  EventView,
  PastRolloutView,
  ReplicaSetView,
  RevisionView,
  RolloutView,
  UserView,
} from "../protocol/views.ts";
import {
  type Column,
  formatBytes,
  formatMoment,
  formatMs,
  formatPairs,
  formatRate,
  formatShare,
  type Tone,
} from "./tables.ts";

export interface Kind<Row> {
  /** The list's key in the API's answer. */
  key: string;
  path: string;
  columns: Column<Row>[];
  empty: string;
}

export function agentHealthTone({ health, damped }: Pick<AgentView, "health" | "damped">): Tone {
  if (health === "lost") return "bad";
  return health === "suspect" || damped ? "warn" : "good";
}

const orDash = (text: string | undefined): string => text === undefined || text === "" ? "-" : text;
const msOrDash = (ms: number | undefined): string => ms === undefined ? "-" : formatMs(ms);

export const agentKind: Kind<AgentView> = {
  key: "agents",
  path: "/v1/agents",
  empty: "no agents have joined; `manager token agent` prints what to run on a machine",
  columns: [
    { title: "NAME", text: (row) => row.name },
    {
      title: "HEALTH",
      text: (row) =>
        [row.health, row.damped && "damped", row.draining ? "drained" : row.cordoned && "cordoned"]
          .filter(Boolean).join(","),
      tone: agentHealthTone,
    },
    { title: "CPU", right: true, text: (row) => row.host ? formatShare(row.host.cpu) : "-" },
    {
      title: "MEMORY",
      right: true,
      text: ({ host }) =>
        host ? `${formatBytes(host.memoryUsedBytes)} of ${formatBytes(host.memoryTotalBytes)}` : "-",
    },
    {
      title: "TEMP",
      right: true,
      text: ({ host }) => host?.temperatureC === undefined ? "-" : `${Math.round(host.temperatureC)} °C`,
      tone: ({ host }) => host?.throttled ? "bad" : undefined,
    },
    { title: "BUSY", right: true, text: (row) => `${row.outstanding}/${row.slots}` },
    { title: "REPLICAS", right: true, text: (row) => String(row.replicas.length) },
    { title: "VERSION", text: (row) => row.version },
    { title: "LABELS", flexible: true, text: (row) => formatPairs(row.labels), tone: () => "faint" },
  ],
};

export const replicaSetKind: Kind<ReplicaSetView> = {
  key: "replicaSets",
  path: "/v1/replicasets",
  empty: "no replicaSets are deployed; `client deploy --help` shows how",
  columns: [
    { title: "NAME", text: (row) => row.name },
    { title: "VERSION", text: (row) => row.version },
    { title: "REVISION", right: true, text: (row) => String(row.revision) },
    {
      title: "READY",
      right: true,
      text: (row) => `${row.ready}/${runsNowhere(row) ? "all" : row.wanted}`,
      tone: (row) => row.ready >= row.wanted && !runsNowhere(row) ? "good" : row.ready > 0 ? "warn" : "bad",
    },
    { title: "QUEUED", right: true, text: (row) => String(row.queued) },
    { title: "RUNNING", right: true, text: (row) => String(row.outstanding) },
    { title: "OWNER", text: (row) => row.owner },
    { title: "ROLLOUT", text: (row) => rolloutWord(row.rollout), tone: (row) => rolloutTone(row.rollout) },
    {
      title: "ENDPOINTS",
      flexible: true,
      text: (row) => orDash(row.endpoints.map((name) => name.split("/").pop()).join(",")),
    },
  ],
};

/** On every agent that fits, of which there is none now: 0 of 0 would look like all is well. */
function runsNowhere({ replicas, wanted }: ReplicaSetView): boolean {
  return replicas === "all" && wanted === 0;
}

function rolloutWord(rollout: RolloutView | undefined): string {
  if (!rollout) return "-";
  const weight = rollout.weight === undefined ? "" : ` at ${rollout.weight} %`;
  return rollout.state === "progressing"
    ? `${rollout.ready}/${rollout.total}${weight}`
    : `${rollout.state}${weight}`;
}

function rolloutTone(rollout: RolloutView | undefined): Tone | undefined {
  return rollout && stateTone(rollout.state);
}

function stateTone(state: PastRolloutView["state"]): Tone {
  if (state === "replaced") return "faint";
  return state === "failed" ? "bad" : state === "done" ? "good" : "warn";
}

export const endpointKind: Kind<EndpointView> = {
  key: "endpoints",
  path: "/v1/endpoints",
  empty: "no endpoints are known",
  columns: [
    { title: "ENDPOINT", text: (row) => row.endpoint },
    {
      title: "READY",
      right: true,
      text: (row) => String(row.readyReplicas),
      tone: (row) => row.readyReplicas > 0 ? "good" : "bad",
    },
    { title: "REQ/S", right: true, text: (row) => formatRate(row.requestsPerSecond) },
    {
      title: "ERR/S",
      right: true,
      text: (row) => formatRate(row.errorsPerSecond),
      tone: (row) => row.errorsPerSecond > 0 ? "bad" : undefined,
    },
    { title: "P50", right: true, text: (row) => msOrDash(row.p50Ms) },
    { title: "P95", right: true, text: (row) => msOrDash(row.p95Ms) },
    { title: "P99", right: true, text: (row) => msOrDash(row.p99Ms) },
    { title: "TOTAL", right: true, text: (row) => String(row.totalRequests) },
    { title: "DESCRIPTION", flexible: true, text: (row) => orDash(row.description), tone: () => "faint" },
  ],
};

export const revisionKind: Kind<RevisionView> = {
  key: "revisions",
  path: "/v1/revisions",
  empty: "no revisions are stored",
  columns: [
    { title: "REPLICASET", text: (row) => row.replicaSet },
    { title: "REVISION", right: true, text: (row) => String(row.revision) },
    { title: "VERSION", text: (row) => row.version },
    { title: "CURRENT", text: (row) => row.current ? "yes" : "", tone: () => "good" },
    { title: "ROLLOUT", text: (row) => row.failure === undefined ? "" : "failed", tone: () => "bad" },
    { title: "CREATED", text: (row) => formatMoment(row.createdAtMs) },
    { title: "BY", text: (row) => row.createdBy },
    { title: "REPLICAS", right: true, text: (row) => formatCount(row.replicas) },
    { title: "MODULES", flexible: true, text: (row) => row.modules.map((file) => file.path).join(",") },
  ],
};

export const rolloutKind: Kind<PastRolloutView> = {
  key: "rollouts",
  path: "/v1/rollouts",
  empty: "no rollouts are kept",
  columns: [
    { title: "REPLICASET", text: (row) => row.replicaSet },
    { title: "REVISIONS", text: revisionWay },
    { title: "VERSION", text: (row) => orDash(row.version) },
    { title: "STATE", text: (row) => row.state, tone: (row) => stateTone(row.state) },
    { title: "BEGAN", text: (row) => formatMoment(row.startedAtMs), tone: () => "faint" },
    {
      title: "TOOK",
      right: true,
      text: ({ startedAtMs, endedAtMs }) =>
        endedAtMs === undefined ? "-" : formatMs(Math.max(0, endedAtMs - startedAtMs)),
    },
    { title: "WHY", flexible: true, text: (row) => orDash(row.reason ?? row.cause) },
  ],
};

/** "1 → 2"; "1" for the first. */
export function revisionWay({ fromRevision, toRevision }: PastRolloutView): string {
  return fromRevision === 0 ? String(toRevision) : `${fromRevision} → ${toRevision}`;
}

/** When it ended and how long it took, if it has. */
export function rolloutEnd({ state, startedAtMs, endedAtMs }: PastRolloutView): string {
  if (endedAtMs !== undefined) {
    return `${formatMoment(endedAtMs)}, after ${formatMs(Math.max(0, endedAtMs - startedAtMs))}`;
  }
  return state === "progressing" || state === "paused" ? "not yet" : "not recorded";
}

/** "2 replicas", "a replica on every agent", "1 to 6 replicas, by load". */
export function describeCount(replicas: ReplicaCount): string {
  if (replicas === "all") return "a replica on every agent";
  return typeof replicas === "object"
    ? `${replicas.min} to ${counted(replicas.max, "replica")}, by load`
    : counted(replicas, "replica");
}

/** "2", "all", "1-6". */
export function formatCount(replicas: ReplicaCount): string {
  return typeof replicas === "object" ? `${replicas.min}-${replicas.max}` : String(replicas);
}

export const eventKind: Kind<EventView> = {
  key: "events",
  path: "/v1/events",
  empty: "nothing has happened yet",
  columns: [
    { title: "TIME", text: (row) => formatMoment(row.atMs), tone: () => "faint" },
    { title: "LEVEL", text: (row) => row.level, tone: eventTone },
    { title: "KIND", text: (row) => row.kind },
    { title: "SUBJECT", text: (row) => orDash(row.subject) },
    { title: "MESSAGE", flexible: true, text: (row) => row.message },
  ],
};

export function eventTone(event: Pick<EventView, "level">): Tone | undefined {
  return event.level === "error" ? "bad" : event.level === "warn" ? "warn" : undefined;
}

export const userKind: Kind<UserView> = {
  key: "users",
  path: "/v1/users",
  empty: "no users",
  columns: [
    { title: "NAME", text: (row) => row.name },
    { title: "ROLE", text: (row) => row.role },
    { title: "ENDPOINTS", flexible: true, text: (row) => orDash(row.endpoints.join(",")) },
    { title: "CREATED", text: (row) => formatMoment(row.createdAtMs) },
  ],
};

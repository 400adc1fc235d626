/**
 * What the HTTP API answers with: plain shapes shared by the manager (which fills them), the client's tables
 * and the dashboard. Times are ms since the Unix epoch, durations ms, sizes bytes, shares 0 to 1.
 */
import type { ErrorCode } from "../errors.ts";
import type { EndpointDescription, HostSample, LogLine, Permissions } from "./messages.ts";
import type { LabelRule, ReplicaCount } from "./revision.ts";

export type AgentHealth = "ready" | "suspect" | "lost";

export interface AgentView {
  name: string;
  health: AgentHealth;
  /** Takes no new replicas. */
  cordoned: boolean;
  /** What it runs is moved to others; it is cordoned too. */
  draining: boolean;
  /** Lost again and again: it gets requests only where nobody else can serve. Missing while it is not. */
  damped?: {
    /** If it is not lost again. */
    untilMs: number;
  };
  /** Its losses, each of which weighs half as much after two minutes. Missing when there was none lately. */
  flapPenalty?: number;
  address: string;
  version: string;
  labels: Record<string, string>;
  cores: number;
  /** None of a lost one. */
  slots: number;
  outstanding: number;
  /** As of the last second. Missing until the first telemetry, and of a lost agent, of which nobody knows. */
  host?: HostSample;
  agentCpuCores?: number;
  agentMemoryBytes?: number;
  replicas: ReplicaView[];
  /** The first time ever. */
  joinedAtMs: number;
  /** When its present connection began; missing while there is none. */
  connectedAtMs?: number;
  lastSeenAtMs: number;
}

export interface ReplicaView {
  replicaSet: string;
  revision: number;
  version: string;
  agent: string;
  state: "pending" | "loading" | "ready" | "failed" | "stopping" | "lost";
  reason?: string;
  /** Requests it takes at once, as of now; 0 of a lost one, as are its figures of use. */
  slots: number;
  /** They follow throughput and latency; missing when they are configured. */
  adaptive?: true;
  outstanding: number;
  runners: number;
  cpuCores: number;
  memoryBytes: number;
  restarts: number;
}

export interface RolloutView {
  replicaSet: string;
  /** 0: nothing before. */
  fromRevision: number;
  toRevision: number;
  /** "failed": undone, where there was something to go back to. */
  state: "progressing" | "paused" | "done" | "failed";
  /** The revision known to be good that it goes back to; missing when there was none. */
  fallback?: number;
  /** The canary's stage, from 0; missing for other rollouts and after the last stage. */
  step?: number;
  /** The share of requests that goes to the new revision in this stage, in per cent. */
  weight?: number;
  ready: number;
  total: number;
  reason?: string;
  startedAtMs: number;
  endedAtMs?: number;
}

/** What one revision did with the requests of an endpoint that count in judging it, lately. */
export interface ArmView {
  requests: number;
  errors: number;
  /** Run times of replies; missing without any. */
  p95Ms?: number;
}

/** What a new revision did with the requests of an endpoint, and what the one before it did. */
export interface ComparisonView {
  endpoint: string;
  before: ArmView;
  after: ArmView;
}

/** `GET /v1/rollouts`: one that is under way or over. */
export interface PastRolloutView {
  replicaSet: string;
  /** 0: nothing before. */
  fromRevision: number;
  toRevision: number;
  version: string;
  /** "replaced": something newer was deployed, or the set deleted, before it was over. */
  state: RolloutView["state"] | "replaced";
  /** Of a canary under way: its stage, from 0. */
  step?: number;
  reason?: string;
  startedAtMs: number;
  endedAtMs?: number;
  /** What began it and by whom, in the words of the event; missing when that is not kept. */
  cause?: string;
  /**
   * While it is under way: what it is judged by now, by endpoint. Of one that is over: what it was judged by, of at most
   * 20 endpoints, the most called. Missing when it has answered nothing, or has not been judged.
   */
  judged?: ComparisonView[];
}

export interface ReplicaSetView {
  name: string;
  /** Of what shall run: of a revision that failed, the one before it. `rollout` tells of the newest. */
  version: string;
  revision: number;
  /** "file": the configuration file owns it; "api": deployed by a client. */
  owner: "file" | "api";
  /** What was asked for: by the specification, or by a `scale` since. */
  replicas: ReplicaCount;
  ready: number;
  wanted: number;
  queued: number;
  outstanding: number;
  endpoints: string[];
  rollout?: RolloutView;
  placements: ReplicaView[];
  /** Why replicas are pending, in words. */
  pendingReason?: string;
  /** Of a set that sleeps without requests: from the last first request to a ready replica. */
  coldStartMs?: number;
}

export interface EndpointView extends EndpointDescription {
  /** `replicaSet/function`. */
  endpoint: string;
  replicaSet: string;
  revision: number;
  readyReplicas: number;
  /** Of this endpoint alone: those that wait, and those that run. */
  queued: number;
  outstanding: number;
  /** Over the last 10 s. */
  requestsPerSecond: number;
  errorsPerSecond: number;
  /** Of the last minute, as the manager saw them (queue and run). Missing with no requests. */
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
  totalRequests: number;
  totalErrors: number;
  /** What the totals count from: the manager's start. */
  totalsSinceMs: number;
}

export interface ModuleView {
  path: string;
  source: string;
  sha256: string;
  sizeBytes: number;
  kind: "js" | "wasm";
  entry: boolean;
}

export interface RevisionView {
  replicaSet: string;
  revision: number;
  version: string;
  current: boolean;
  createdAtMs: number;
  createdBy: string;
  replicas: ReplicaCount;
  placement: Record<string, LabelRule>;
  permissions: Permissions;
  memoryMb: number;
  timeoutMs: number;
  modules: ModuleView[];
  /** Why it failed when it was last rolled out to an end; missing when it did not, or that is not kept. */
  failure?: string;
}

export interface EventView {
  id: number;
  atMs: number;
  level: "info" | "warn" | "error";
  /** snake_case, e.g. `agent_joined`, `replica_ready`, `rollout_failed`. */
  kind: string;
  /** What it is about: an agent's or a replicaSet's name, or "". */
  subject: string;
  message: string;
}

/** One finished request and where its time went, as the manager saw it. */
export interface RequestView {
  requestId: string;
  /** When it ended. */
  atMs: number;
  /** Empty for a name that nothing has. */
  endpoint: string;
  /** 0: it was on no replica. */
  revision: number;
  /** Empty: it was on none. */
  agent: string;
  code: "ok" | ErrorCode;
  /** The user's name. */
  requester: string;
  totalMs: number;
  queueMs: number;
  /** In the module, and on the way there and back; missing without a reply. */
  runMs?: number;
  networkMs?: number;
  /** What the error says. */
  message?: string;
}

/** `GET /v1/requests`: of the last hour. */
export interface RequestsView {
  /** The slowest that ended well. */
  slowest: RequestView[];
  /** The newest that failed. */
  failed: RequestView[];
  /** All that ended well, and all that failed, the most frequent first, of the endpoint that was asked for. */
  answered: number;
  failures: { code: ErrorCode; count: number }[];
  /** Both count from here: the minute of what was asked for, or the manager's start, before which nothing is known. */
  sinceMs: number;
}

/** A line that a module printed. */
export interface LogLineView extends LogLine {
  /** Grows, over restarts of the manager too. */
  id: number;
  agent: string;
}

/** `GET /v1/logs/NAME`. */
export interface LogsView {
  lines: LogLineView[];
  /** `afterId` of the next question: all up to here that matched has been told. Smaller than before: a manager with other data. */
  lastId: number;
}

export interface UserView {
  name: string;
  role: "admin" | "operator" | "client" | "agent" | "viewer";
  endpoints: string[];
  createdAtMs: number;
}

export interface ClusterView {
  cluster: string;
  version: string;
  atMs: number;
  startedAtMs: number;
  /** In one word, and why. "down": nothing serves that should; "degraded": something is not well. */
  health: "ok" | "degraded" | "down";
  problems: string[];
  requestsPerSecond: number;
  errorsPerSecond: number;
  queued: number;
  outstanding: number;
  clients: number;
  managerCpuCores: number;
  managerMemoryBytes: number;
  /** Since the manager's start, its helper processes' included, as the kernel counts them; missing where it doesn't. */
  managerDiskWrittenBytes?: number;
  /** The manager's database with its log: everything that it stores. */
  databaseBytes: number;
  /** Errors of the last refused configuration; empty when the file in force is the newest. */
  configurationErrors: string[];
}

/** `GET /v1/overview`, and each event of `GET /v1/live`. */
export interface OverviewView {
  cluster: ClusterView;
  agents: AgentView[];
  replicaSets: ReplicaSetView[];
  endpoints: EndpointView[];
  events: EventView[];
}

/**
 * `GET /v1/metrics?series=NAME&subject=X&fromMs=A&toMs=B`: columns as uPlot takes them.
 * NAME: `requests` | `errors` (per second, per endpoint), `latency` (p50, p95, p99 in ms), `queue` (per replicaSet),
 * `cpu` | `memory` | `temperature` | `outstanding` (per agent).
 */
export interface MetricsView {
  series: string;
  /** ms between points: 1000 while live, 10 000 or 300 000 from the store. */
  resolutionMs: number;
  timesMs: number[];
  columns: { label: string; values: (number | null)[] }[];
}

/** `GET /v1/past?atMs=A`: what a moment in the past was like. */
export interface PastView {
  /** Those that were there and sent telemetry. */
  agents: AgentPastView[];
  /** Those that exist now and did then. */
  replicaSets: ReplicaSetPastView[];
}

/** What it told last, by the names that `GET /v1/metrics` has for it; missing where it told nothing. */
export interface AgentPastView {
  name: string;
  cpu?: number;
  memory?: number;
  temperature?: number;
  outstanding?: number;
}

/** Missing is what is not recorded. */
export interface ReplicaSetPastView {
  name: string;
  revision?: number;
  version?: string;
  ready?: number;
  wanted?: number;
  queued: number;
}

/** `GET /v1/past/endpoints?fromMs=A&toMs=B`: those that had requests in it. */
export interface EndpointsPastView {
  endpoints: EndpointPastView[];
}

/** Over the whole time. */
export interface EndpointPastView {
  endpoint: string;
  requestsPerSecond: number;
  errorsPerSecond: number;
  /** As the manager saw them (queue and run); missing when none was admitted. */
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
}

/** One key that differs between two specifications, as text. */
export interface ChangeView {
  path: string;
  /** Missing: it was not there. */
  before?: string;
  /** Missing: it is gone. */
  after?: string;
}

/** `GET /v1/revisions/NAME/REVISION`. */
export interface RevisionDetailView extends RevisionView {
  /** Its whole specification, key by key; values of `env` are not told. */
  specification: ChangeView[];
  /** The kept revision before it, and what differs from that. */
  before?: number;
  changes: ChangeView[];
}

/**
 * The overview: what the dashboard, the client's tables and `/metrics` show, put together from the registry, the
 * stored sets, the dispatcher's counters and the metrics. Pure reading; nothing here decides.
 */
import type { AgentRecord } from "../cluster/agents.ts";
import type { RoutedEndpoint, RoutingTable } from "../cluster/routing.ts";
import { differences } from "../deployment/difference.ts";
import { currentStep } from "../deployment/canary.ts";
import { revisionInForce } from "../deployment/rollout.ts";
import { askedReplicas } from "../deployment/scale.ts";
import type { ProcessUse } from "../metrics/process_meter.ts";
import type { ReplicaReport } from "../protocol/messages.ts";
import type { Revision } from "../protocol/revision.ts";
import type {
  AgentView,
  ClusterView,
  EndpointView,
  EventView,
  OverviewView,
  ReplicaSetView,
  ReplicaView,
  RevisionDetailView,
  RevisionView,
  RolloutView,
} from "../protocol/views.ts";
import type { DispatcherSnapshot } from "../scheduling/dispatcher.ts";
import type { ReplicaLoad } from "../scheduling/snapshot.ts";
import type { StoredSet } from "../store/deployments.ts";
import type { ReplicaCount } from "../store/replica_counts.ts";
import { counted } from "../words.ts";
import { countReplicas } from "./replica_counts.ts";

/** What metrics know of an endpoint now: rates over 10 s, quantiles over a minute, totals since the start. */
export type EndpointRates = Pick<
  EndpointView,
  "requestsPerSecond" | "errorsPerSecond" | "p50Ms" | "p95Ms" | "p99Ms" | "totalRequests" | "totalErrors"
>;

export interface OverviewFacts {
  cluster: string;
  version: string;
  nowMs: number;
  startedAtMs: number;
  agents: readonly AgentRecord[];
  /** How unsteady an agent's connection has been. */
  damping(agent: string): { penalty: number; untilAtMs?: number };
  sets: readonly StoredSet[];
  assignments(agent: string): readonly { replicaSet: string; revision: number }[];
  pendingReason(set: string): string | undefined;
  /** How long the last waking from no replicas took. */
  coldStartMs(set: string): number | undefined;
  routes: RoutingTable;
  load: DispatcherSnapshot;
  endpointRates(endpoint: string): EndpointRates;
  clusterRates(): { requestsPerSecond: number; errorsPerSecond: number };
  events: readonly EventView[];
  clients: number;
  process: ProcessUse;
  disk: { writtenBytes: number | undefined; databaseBytes: number };
  configurationErrors: readonly string[];
}

/** What is looked up for each of many replicas: found once, since this runs every second for whoever watches. */
interface Indexed extends OverviewFacts {
  setOf: ReadonlyMap<string, StoredSet>;
  /** By `replicaKey`. */
  loads: ReadonlyMap<string, ReplicaLoad>;
  counts: ReadonlyMap<string, ReplicaCount>;
}

export function describeOverview(given: OverviewFacts): OverviewView {
  const facts = indexed(given);
  const agents = facts.agents.map((agent) => agentView(facts, agent));
  const placements = Map.groupBy(agents.flatMap((agent) => agent.replicas), (replica) => replica.replicaSet);
  const replicaSets = facts.sets.map((set) => replicaSetView(facts, set, placements.get(set.name) ?? []));
  const endpoints = [...facts.routes.endpoints.values()].map((endpoint) => endpointView(facts, endpoint))
    .sort((left, right) => compareNames(left.endpoint, right.endpoint));
  return {
    cluster: clusterView(facts, agents, replicaSets),
    agents,
    replicaSets,
    endpoints,
    events: [...facts.events].reverse(),
  };
}

function indexed(facts: OverviewFacts): Indexed {
  return {
    ...facts,
    setOf: new Map(facts.sets.map((set) => [set.name, set])),
    loads: new Map(
      facts.load.replicas.map((load) => [replicaKey(load.agent, load.replicaSet, load.revision), load]),
    ),
    counts: countReplicas(facts),
  };
}

function replicaKey(agent: string, replicaSet: string, revision: number): string {
  return `${agent} ${replicaSet} ${revision}`;
}

/** Names are ASCII; comparing them by the rules of a language would take most of the time of an overview. */
function compareNames(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function agentView(facts: Indexed, agent: AgentRecord): AgentView {
  const replicas = replicaViews(facts, agent);
  // What a lost one said last is no figure of now.
  const telemetry = agent.health === "lost" ? undefined : agent.telemetry;
  const use = telemetry && {
    host: telemetry.host,
    agentCpuCores: telemetry.agentCpuCores,
    agentMemoryBytes: telemetry.agentMemoryBytes,
  };
  return {
    name: agent.name,
    health: agent.health,
    cordoned: agent.cordoned,
    draining: agent.draining,
    ...dampingView(facts.damping(agent.name)),
    address: agent.address,
    version: agent.version,
    labels: agent.labels,
    cores: agent.cores,
    slots: sum(replicas, (replica) => replica.slots),
    outstanding: facts.load.agents.get(agent.name)?.outstanding ?? 0,
    ...use,
    replicas,
    joinedAtMs: agent.joinedAtMs,
    ...(agent.connection ? optional("connectedAtMs", agent.connectedAtMs) : {}),
    lastSeenAtMs: agent.lastSeenAtMs,
  };
}

function dampingView({ penalty, untilAtMs }: ReturnType<OverviewFacts["damping"]>): Partial<AgentView> {
  const flapPenalty = Math.round(penalty * 100) / 100;
  return {
    ...(untilAtMs === undefined ? {} : { damped: { untilMs: untilAtMs } }),
    ...(flapPenalty > 0 ? { flapPenalty } : {}),
  };
}

/** What the agent reports, and what it was asked for and hasn't reported yet. */
function replicaViews(facts: Indexed, agent: AgentRecord): ReplicaView[] {
  const assignments = facts.assignments(agent.name);
  const keyOf = ({ replicaSet, revision }: { replicaSet: string; revision: number }) =>
    replicaKey(agent.name, replicaSet, revision);
  const wanted = new Set(assignments.map(keyOf));
  const known = agent.reports.filter((report) => facts.setOf.has(report.replicaSet));
  const reported = new Set(known.map(keyOf));
  const views = known.map((report) => reportedView(facts, agent, report, wanted.has(keyOf(report))));
  for (const { replicaSet, revision } of assignments) {
    if (reported.has(replicaKey(agent.name, replicaSet, revision))) continue;
    const set = facts.setOf.get(replicaSet);
    if (!set) continue;
    const nothing = { slots: 0, outstanding: 0, runners: 0, cpuCores: 0, memoryBytes: 0, restarts: 0 };
    const state = agent.health === "lost" ? "lost" : "pending";
    views.push({
      replicaSet,
      revision,
      version: versionOf(set, revision),
      agent: agent.name,
      state,
      ...nothing,
    });
  }
  return views.sort((left, right) =>
    compareNames(left.replicaSet, right.replicaSet) || left.revision - right.revision
  );
}

function reportedView(
  facts: Indexed,
  agent: AgentRecord,
  report: ReplicaReport,
  isWanted: boolean,
): ReplicaView {
  const load = facts.loads.get(replicaKey(agent.name, report.replicaSet, report.revision));
  const { current, good } = facts.setOf.get(report.replicaSet)!;
  const revision = [current, good].find((candidate) => candidate?.revision === report.revision);
  const isFixed = (revision?.specification.concurrency ?? agent.concurrency) !== undefined;
  const isLost = agent.health === "lost";
  const sample = isLost
    ? undefined
    : agent.telemetry?.replicas.find((candidate) => candidate.handle === report.handle);
  return {
    replicaSet: report.replicaSet,
    revision: report.revision,
    version: versionOf(facts.setOf.get(report.replicaSet)!, report.revision),
    agent: agent.name,
    // Given up is out of the routes at once, before the agent has heard of it.
    state: isLost ? "lost" : isWanted ? report.state : "stopping",
    ...(report.reason ? { reason: report.reason } : {}),
    // While it gets requests, what it gets; the agent's report is only where that starts.
    slots: isLost ? 0 : load?.slots || report.slots,
    ...(isFixed ? {} : { adaptive: true as const }),
    outstanding: load?.outstanding ?? 0,
    runners: sample?.runners ?? 0,
    cpuCores: sample?.cpuCores ?? 0,
    memoryBytes: sample?.memoryBytes ?? 0,
    restarts: sample?.restarts ?? 0,
  };
}

function versionOf(set: StoredSet, revision: number): string {
  if (set.current.revision === revision) return set.current.specification.version;
  if (set.good?.revision === revision) return set.good.specification.version;
  return "";
}

function replicaSetView(facts: Indexed, set: StoredSet, placements: ReplicaView[]): ReplicaSetView {
  const { ready, wanted } = facts.counts.get(set.name)!;
  const load = facts.load.sets.get(set.name);
  const { revision, specification: { version } } = revisionInForce(set);
  const pendingReason = facts.pendingReason(set.name);
  return {
    name: set.name,
    version,
    revision,
    owner: set.owner,
    replicas: askedReplicas(set),
    ready,
    wanted,
    queued: load?.queued ?? 0,
    outstanding: load?.outstanding ?? 0,
    endpoints: [...facts.routes.sets.get(set.name)?.endpoints.keys() ?? []].sort(),
    ...(set.rollout ? { rollout: rolloutView(set, set.rollout, placements, wanted) } : {}),
    placements,
    ...(pendingReason ? { pendingReason } : {}),
    ...optional("coldStartMs", facts.coldStartMs(set.name)),
  };
}

function optional<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): Partial<Record<Key, Value>> {
  return value === undefined ? {} : { [key]: value } as Record<Key, Value>;
}

function rolloutView(
  { current }: StoredSet,
  rollout: NonNullable<StoredSet["rollout"]>,
  placements: readonly ReplicaView[],
  wanted: number,
): RolloutView {
  const ready = placements.filter((replica) =>
    replica.revision === rollout.toRevision && replica.state === "ready"
  );
  const weight = currentStep(rollout, current.specification.rollout)?.weight;
  return {
    ...rollout,
    ready: ready.length,
    total: wanted,
    ...(weight === undefined ? {} : { weight }),
  };
}

function endpointView(facts: OverviewFacts, routed: RoutedEndpoint): EndpointView {
  const load = facts.load.endpoints.get(routed.endpoint);
  return {
    ...routed.description,
    endpoint: routed.endpoint,
    replicaSet: routed.replicaSet,
    revision: routed.revision,
    timeoutMs: routed.timeoutMs,
    idempotent: routed.idempotent,
    readyReplicas: routed.replicas.length,
    queued: load?.queued ?? 0,
    outstanding: load?.outstanding ?? 0,
    ...facts.endpointRates(routed.endpoint),
    totalsSinceMs: facts.startedAtMs,
  };
}

function clusterView(facts: OverviewFacts, agents: AgentView[], sets: ReplicaSetView[]): ClusterView {
  const problems = findProblems(facts, agents, sets);
  // What sleeps or is scaled to none is not expected to serve; a set for all agents is, though there be none.
  const expected = sets.filter(({ wanted, replicas }) => wanted > 0 || replicas === "all");
  const down = expected.length > 0 && expected.every(({ ready }) => ready === 0);
  return {
    cluster: facts.cluster,
    version: facts.version,
    atMs: facts.nowMs,
    startedAtMs: facts.startedAtMs,
    health: problems.length === 0 ? "ok" : down ? "down" : "degraded",
    problems,
    ...facts.clusterRates(),
    queued: facts.load.queued,
    outstanding: facts.load.outstanding,
    clients: facts.clients,
    managerCpuCores: facts.process.cpuCores,
    managerMemoryBytes: facts.process.memoryBytes,
    ...optional("managerDiskWrittenBytes", facts.disk.writtenBytes),
    databaseBytes: facts.disk.databaseBytes,
    configurationErrors: [...facts.configurationErrors],
  };
}

function findProblems(facts: OverviewFacts, agents: AgentView[], sets: ReplicaSetView[]): string[] {
  const problems: string[] = [];
  for (const agent of facts.agents) {
    if (agent.health !== "ready") {
      problems.push(
        `Agent ${agent.name} is ${agent.health}${agent.healthReason ? `: ${agent.healthReason}` : ""}`,
      );
    }
  }
  for (const agent of agents) {
    if (agent.damped) problems.push(`Agent ${agent.name} is damped: it was lost again and again`);
    if (agent.host?.throttled) problems.push(`Agent ${agent.name} slows itself down (heat or undervoltage)`);
  }
  for (const set of sets) {
    if (set.rollout?.state === "failed") {
      problems.push(
        `The rollout of ${set.name} revision ${set.rollout.toRevision} failed: ${
          set.rollout.reason ?? "no reason"
        }`,
      );
    }
    if (set.pendingReason) problems.push(`${set.name}: ${set.pendingReason}`);
    else if (set.ready < set.wanted) {
      problems.push(`${set.name} has ${set.ready} of ${counted(set.wanted, "replica")} ready`);
    }
  }
  if (facts.configurationErrors.length > 0) {
    problems.push("The configuration file was refused; the last good one is in force");
  }
  return problems;
}

/** What is told of a revision beyond itself: which one is in force, and which failed, with the reasons. */
export interface RevisionsKnown {
  current: number;
  failures: ReadonlyMap<number, string>;
}

export function revisionView(revision: Revision, { current, failures }: RevisionsKnown): RevisionView {
  const { specification } = revision;
  return {
    replicaSet: revision.replicaSet,
    revision: revision.revision,
    version: specification.version,
    current: revision.revision === current,
    createdAtMs: revision.createdAtMs,
    createdBy: revision.createdBy,
    replicas: specification.replicas,
    placement: specification.placement,
    permissions: specification.permissions,
    memoryMb: specification.memoryMb,
    timeoutMs: specification.timeoutMs,
    modules: specification.modules.map(({ docs: _docs, ...module }) => module),
    ...optional("failure", failures.get(revision.revision)),
  };
}

/** `before`: the kept revision before it. */
export function revisionDetail(
  revision: Revision,
  before: Revision | undefined,
  known: RevisionsKnown,
): RevisionDetailView {
  return {
    ...revisionView(revision, known),
    specification: differences(undefined, revision.specification),
    ...(before ? { before: before.revision } : {}),
    changes: before ? differences(before.specification, revision.specification) : [],
  };
}

function sum<Item>(items: readonly Item[], amount: (item: Item) => number): number {
  let total = 0;
  for (const item of items) total += amount(item);
  return total;
}

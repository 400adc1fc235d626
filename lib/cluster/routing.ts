/**
 * The routing table: endpoint → the replicas that have shown it and are ready. Pure, rebuilt and swapped whole.
 * On the way: stored revisions and agents' reports → here → `scheduling/dispatcher`.
 * The invariant: a replica is routable only while its agent is ready and its last report says "ready" and lists the
 * endpoint. "Exists, but nothing is ready" and "doesn't exist" are kept apart, also across restarts of the manager.
 */
import { SqwishError } from "../errors.ts";
import { nearMisses } from "../near_miss.ts";
import type { EndpointDescription, ReplicaReport } from "../protocol/messages.ts";
import type { Revision } from "../protocol/revision.ts";
import type { AgentHealth } from "../protocol/views.ts";

/** What routing reads of an agent; `AgentRecord` satisfies it. */
export interface RoutingAgent {
  readonly name: string;
  readonly health: AgentHealth;
  readonly reports: readonly ReplicaReport[];
  /** Lost again and again. */
  readonly damped?: boolean;
}

/** A replica that takes requests now. */
export interface RoutedReplica {
  readonly agent: string;
  readonly handle: number;
  readonly replicaSet: string;
  readonly revision: number;
  readonly slots: number;
  /** The slots are where to start from. */
  readonly adaptive: boolean;
  /** Its agent is damped: it is asked when no other has a free slot. */
  readonly damped?: true;
}

export interface RoutedEndpoint {
  /** `replicaSet/function`. */
  readonly endpoint: string;
  readonly replicaSet: string;
  /** The newest revision that lists it. */
  readonly revision: number;
  readonly description: EndpointDescription;
  readonly timeoutMs: number;
  readonly idempotent: boolean;
  /** Empty: it exists, and nothing is ready. */
  readonly replicas: readonly RoutedReplica[];
}

/** How two revisions share the requests of a set. */
export interface RoutedSplit {
  readonly revision: number;
  readonly share: number;
}

export interface RoutedSet {
  readonly name: string;
  /** The wanted one. */
  readonly revision: number;
  readonly timeoutMs: number;
  readonly idempotent: boolean;
  readonly queueMax: number;
  /** By full name. */
  readonly endpoints: ReadonlyMap<string, RoutedEndpoint>;
  readonly replicas: readonly RoutedReplica[];
  /** Which revision gets which share of the requests, 0 to 1: a canary's stage, or 0 for one that failed. */
  readonly split?: RoutedSplit;
  /** Nobody is to wait for it, and why, in words: it is to have no replica, and no request changes that. */
  readonly closed?: string;
  /** False: no replica has shown its functions since the manager started, so any name may turn out to exist. */
  readonly known: boolean;
}

export type Lookup =
  | { kind: "endpoint"; set: RoutedSet; endpoint: RoutedEndpoint }
  /** The set exists, its functions aren't known yet: wait for a replica to show them. */
  | { kind: "maybe"; set: RoutedSet }
  | { kind: "none"; error: SqwishError };

/** Immutable; `buildRoutes` makes the next one. */
export interface RoutingTable {
  readonly sets: ReadonlyMap<string, RoutedSet>;
  /** Of all sets, by full name: the one look-up of the success path. */
  readonly endpoints: ReadonlyMap<string, RoutedEndpoint>;
}

export const emptyRoutes: RoutingTable = { sets: new Map(), endpoints: new Map() };

/** Names compared for near misses: enough for people, cheap for a client that asks for nonsense in a loop. */
const comparedNamesMax = 500;

/**
 * The table for the wanted revision of each set and what the agents report. `previous` supplies the endpoints of a
 * set of which nothing is ready at the moment. Of two revisions that are ready at once, an endpoint is routed to
 * the replicas whose own report lists it.
 */
export function buildRoutes(
  sets: Iterable<Revision>,
  agents: Iterable<RoutingAgent>,
  previous: RoutingTable = emptyRoutes,
  splits: ReadonlyMap<string, RoutedSplit> = new Map(),
  closed: ReadonlyMap<string, string> = new Map(),
): RoutingTable {
  const reports = reportsBySet(agents);
  const routed = new Map<string, RoutedSet>();
  const endpoints = new Map<string, RoutedEndpoint>();
  for (const set of sets) {
    const split = splits.get(set.replicaSet);
    const built = buildSet(set, reports.get(set.replicaSet) ?? [], previous.sets.get(set.replicaSet));
    const why = closed.get(set.replicaSet);
    const entry = { ...built, ...(split ? { split } : {}), ...(why === undefined ? {} : { closed: why }) };
    routed.set(entry.name, entry);
    for (const [name, endpoint] of entry.endpoints) endpoints.set(name, endpoint);
  }
  return { sets: routed, endpoints };
}

/** What an endpoint's name leads to. A "none" carries `not_found` with near misses and what the set does have. */
export function lookup(table: RoutingTable, name: string): Lookup {
  const endpoint = table.endpoints.get(name);
  if (endpoint) return { kind: "endpoint", set: table.sets.get(endpoint.replicaSet)!, endpoint };
  const set = table.sets.get(name.slice(0, Math.max(0, name.indexOf("/"))));
  if (set && !set.known && name.length > set.name.length + 1) return { kind: "maybe", set };
  return { kind: "none", error: notFound(table, name, set) };
}

interface AgentReport {
  agent: string;
  health: AgentHealth;
  damped: boolean;
  report: ReplicaReport;
}

function reportsBySet(agents: Iterable<RoutingAgent>): Map<string, AgentReport[]> {
  const bySet = new Map<string, AgentReport[]>();
  for (const { name, health, reports, damped = false } of agents) {
    for (const report of reports) {
      const list = bySet.get(report.replicaSet);
      const entry = { agent: name, health, damped, report };
      if (list) list.push(entry);
      else bySet.set(report.replicaSet, [entry]);
    }
  }
  return bySet;
}

function isRoutable({ health, report }: AgentReport): boolean {
  return health === "ready" && report.state === "ready" && report.slots > 0 && report.handle > 0;
}

type MutableEndpoint = RoutedEndpoint & { revision: number; replicas: RoutedReplica[] };

function buildSet(set: Revision, reports: readonly AgentReport[], previous?: RoutedSet): RoutedSet {
  const { name, timeoutMs, idempotent, queueMax } = set.specification;
  const endpoints = new Map<string, MutableEndpoint>();
  const replicas: RoutedReplica[] = [];
  const upToDate = reports.some((entry) => isRoutable(entry) && entry.report.revision === set.revision);

  function add(description: EndpointDescription, revision: number): MutableEndpoint {
    const full = `${name}/${description.name}`;
    const known = endpoints.get(full);
    if (known && known.revision >= revision) return known;
    const added = {
      endpoint: full,
      replicaSet: name,
      revision,
      description,
      timeoutMs: description.timeoutMs || timeoutMs,
      idempotent: description.idempotent ?? idempotent,
      replicas: known?.replicas ?? [],
    };
    endpoints.set(full, added);
    return added;
  }

  for (const entry of reports) {
    const { agent, report } = entry;
    const routable = isRoutable(entry);
    // Once a replica has shown the wanted revision, what lost agents said long ago no longer counts.
    if (upToDate && entry.health === "lost") continue;
    const { handle, revision, slots, adaptive = false } = report;
    const replica: RoutedReplica = {
      ...{ agent, handle, replicaSet: name, revision, slots, adaptive },
      ...(entry.damped ? { damped: true } : {}),
    };
    if (routable) replicas.push(replica);
    for (const description of report.endpoints) {
      const endpoint = add(description, revision);
      if (routable) endpoint.replicas.push(replica);
    }
  }
  if (!upToDate && previous) {
    for (const endpoint of previous.endpoints.values()) add(endpoint.description, endpoint.revision);
  }
  const known = endpoints.size > 0 || upToDate || (previous?.known ?? false);
  return { name, revision: set.revision, timeoutMs, idempotent, queueMax, endpoints, replicas, known };
}

function notFound(table: RoutingTable, name: string, set: RoutedSet | undefined): SqwishError {
  if (!name.includes("/")) {
    return new SqwishError(
      "not_found",
      `An endpoint is named replicaSet/function, this one is "${name}"${hint(nearIn(table, name))}`,
    );
  }
  if (set) {
    const functions = [...set.endpoints.keys()].map((full) => full.slice(set.name.length + 1)).sort();
    const near = nearMisses(name, set.endpoints.keys());
    const shown = functions.slice(0, 20).join(", ") + (functions.length > 20 ? ", …" : "");
    const has = shown === "" ? "no functions" : shown;
    return new SqwishError("not_found", `${set.name} has ${has}, but no endpoint ${name}${hint(near)}`, {
      details: { nearMisses: near, functions: functions.slice(0, 100) },
    });
  }
  const near = nearIn(table, name);
  return new SqwishError("not_found", `There is no endpoint ${name}${hint(near)}`, {
    details: { nearMisses: near },
  });
}

/** Near names among the first endpoints and sets. */
function nearIn(table: RoutingTable, name: string): string[] {
  const candidates: string[] = [];
  for (const candidate of table.endpoints.keys()) {
    if (candidates.push(candidate) >= comparedNamesMax) break;
  }
  return nearMisses(name, candidates);
}

function hint(near: readonly string[]): string {
  return near.length === 0 ? "" : `, did you mean ${near.join(" or ")}?`;
}

/**
 * What the dispatcher knows of sets, replicas and agents between two routing tables: queues and who has how many
 * requests. On the way: routing table → here → policy. The invariant: a replica's `outstanding` survives every
 * change of the table and of its handle, so that a slot taken before is still counted after.
 */
import { lookup, type RoutedEndpoint, type RoutedSet, type RoutingTable } from "../cluster/routing.ts";
import { frameName } from "../protocol/frame.ts";
import { NameCache } from "../protocol/name_cache.ts";
import type { Random } from "../random.ts";
import { choose, isFree } from "./policy.ts";
import { RoundTrip } from "./service_rate.ts";
import { Split } from "./split.ts";
import { AgentLink, type FrameSink, type Pending, Replica, SetState } from "./state.ts";

/** An endpoint of the table and its candidates. */
export interface Target {
  readonly routed: RoutedEndpoint;
  readonly set: SetState;
  readonly replicas: readonly Replica[];
  /** Those of `replicas` that are asked first, and those that are when none of them is free. */
  readonly steady: readonly Replica[];
  readonly damped: readonly Replica[];
  /** How two revisions share its requests. */
  readonly split: Split | null;
  /** What it takes at a replica; stays when the table changes. */
  readonly roundTrip: RoundTrip;
}

/** What an endpoint's name in a frame leads to; without a target for a name that the table doesn't have. */
export interface Named {
  readonly endpoint: string;
  readonly target: Target | undefined;
}

/** The replica a request for `target` runs on next; null: none is free. */
export function chooseFor(
  target: Target,
  nowMs: number,
  random: Random,
  isNested: boolean,
): Replica | null {
  const { steady, damped, split } = target;
  if (split !== null) return split.choose(nowMs, random, isNested);
  const chosen = choose(steady, nowMs, random, isNested);
  return chosen !== null || damped.length === 0 ? chosen : choose(damped, nowMs, random, isNested);
}

export class Fleet {
  readonly sets = new Map<string, SetState>();
  readonly links = new Map<string, AgentLink>();
  /** Endpoints by full name: the one look-up of the success path. */
  targets = new Map<string, Target>();
  #names = new NameCache<Named>((bytes, at) => this.#name(bytes, at));
  #replicas = new Map<string, Replica>();

  /** Takes over a routing table. Returns the requests that waited for what is no longer in it. */
  apply(table: RoutingTable, nowMs: number): Pending[] {
    for (const replica of this.#replicas.values()) replica.routed = false;
    const removed: SetState[] = [];
    for (const [name, set] of this.sets) {
      if (table.sets.has(name)) continue;
      this.sets.delete(name);
      set.replicas = [];
      removed.push(set);
    }
    const targets = new Map<string, Target>();
    for (const routed of table.sets.values()) this.#applySet(routed, targets);
    this.#rememberReadiness(targets, nowMs);
    this.targets = targets;
    this.#names = new NameCache((bytes, at) => this.#name(bytes, at));
    for (const [key, replica] of this.#replicas) {
      if (!replica.routed && replica.outstanding === 0) this.#replicas.delete(key);
    }
    return [...removed, ...this.sets.values()].flatMap((set) => orphansOf(set, table));
  }

  connect(name: string, sink: FrameSink): AgentLink {
    const link = new AgentLink(name, sink);
    this.links.set(name, link);
    this.#setLink(name, link);
    return link;
  }

  disconnect(name: string): AgentLink | undefined {
    const link = this.links.get(name);
    this.links.delete(name);
    this.#setLink(name, null);
    return link;
  }

  /** The request of this id that `agent` has. */
  running(agent: string, runId: number): Pending | null {
    return this.links.get(agent)?.running.get(runId) ?? null;
  }

  /** What the frame at `at` asks for. */
  named(bytes: Uint8Array, at: number): Named {
    return this.#names.get(bytes, at);
  }

  /** A replica with a free slot, for a nested request also a lent one, serves this endpoint. */
  canServe(endpoint: string, isNested: boolean): boolean {
    return this.targets.get(endpoint)?.replicas.some((replica) => isFree(replica, isNested)) ?? false;
  }

  /** Whether something is ready for this endpoint, has been since `sinceMs` and is gone, or never was. */
  readiness(set: SetState, endpoint: string, sinceMs: number): "ready" | "gone" | "never" {
    if ((this.targets.get(endpoint)?.replicas.length ?? 0) > 0) return "ready";
    return (set.lastReadyMs.get(endpoint) ?? -1) >= sinceMs ? "gone" : "never";
  }

  /** A slot is free again; `served`: by a reply that was waited for. A replica that is routed no more goes with its last request. */
  release(replica: Replica, nowMs: number, served: boolean): void {
    replica.giveBack(nowMs, served);
    if (!replica.routed && replica.outstanding === 0) this.#replicas.delete(keyOf(replica));
  }

  releaseHolds(): void {
    for (const replica of this.#replicas.values()) replica.held = false;
  }

  /** Every replica that takes requests or still has some. */
  replicas(): Iterable<Replica> {
    return this.#replicas.values();
  }

  #name(bytes: Uint8Array, at: number): Named {
    const endpoint = frameName(bytes, at);
    return { endpoint, target: this.targets.get(endpoint) };
  }

  #applySet(routed: RoutedSet, targets: Map<string, Target>): void {
    let set = this.sets.get(routed.name);
    if (!set) {
      set = new SetState(routed);
      this.sets.set(routed.name, set);
    }
    set.routed = routed;
    const byRouted = new Map<unknown, Replica>();
    set.replicas = routed.replicas.map((entry) => {
      const replica = this.#replica(entry.agent, entry.replicaSet, entry.revision);
      // A hold ends when the replica has said something new.
      if (replica.handle !== entry.handle) replica.held = false;
      replica.handle = entry.handle;
      replica.capacity.configure(entry.slots, entry.adaptive);
      replica.routed = true;
      replica.damped = entry.damped === true;
      replica.link = this.links.get(entry.agent) ?? null;
      byRouted.set(entry, replica);
      return replica;
    });
    for (const endpoint of routed.endpoints.values()) {
      const replicas = endpoint.replicas.map((entry) => byRouted.get(entry)!);
      const split = routed.split ? new Split(routed.split.revision, routed.split.share, replicas) : null;
      const before = this.targets.get(endpoint.endpoint);
      split?.follow(before?.split);
      const damped = replicas.filter((replica) => replica.damped);
      const steady = damped.length === 0 ? replicas : replicas.filter((replica) => !replica.damped);
      const roundTrip = before?.roundTrip ?? new RoundTrip();
      targets.set(endpoint.endpoint, { routed: endpoint, set, replicas, steady, damped, split, roundTrip });
    }
  }

  #rememberReadiness(targets: ReadonlyMap<string, Target>, nowMs: number): void {
    for (const [endpoint, { set, replicas }] of this.targets) {
      if (!targets.has(endpoint)) set.lastReadyMs.delete(endpoint);
      else if (replicas.length > 0) set.lastReadyMs.set(endpoint, nowMs);
    }
  }

  #replica(agent: string, replicaSet: string, revision: number): Replica {
    const key = keyOf({ agent, replicaSet, revision });
    let replica = this.#replicas.get(key);
    if (!replica) {
      replica = new Replica(agent, replicaSet, revision);
      this.#replicas.set(key, replica);
    }
    return replica;
  }

  #setLink(agent: string, link: AgentLink | null): void {
    for (const replica of this.#replicas.values()) {
      if (replica.agent === agent) replica.link = link;
    }
  }
}

/** Takes out of a set's queue what waits for endpoints that are gone, or for what is to have no replica. */
function orphansOf({ queue, routed }: SetState, table: RoutingTable): Pending[] {
  const isGone = (endpoint: string) => routed.closed !== undefined || lookup(table, endpoint).kind === "none";
  const gone = queue.endpoints().filter(isGone);
  const orphans = gone.flatMap((endpoint) => queue.drain(endpoint));
  for (const pending of orphans) pending.node = null;
  return orphans;
}

function keyOf({ agent, replicaSet, revision }: Pick<Replica, "agent" | "replicaSet" | "revision">): string {
  return `${agent} ${replicaSet} ${revision}`;
}

/**
 * What the dispatcher knows of sets, replicas and agents between two routing tables: queues and who has how many
 * requests. On the way: routing table → here → policy. The invariant: a replica's `outstanding` survives every
 * change of the table and of its handle, so that a slot taken before is still counted after.
 */
import type { RoutedEndpoint, RoutedSet, RoutingTable } from "../cluster/routing.ts";
import { slotsOf } from "./capacity.ts";
import { isFree } from "./policy.ts";
import { type AgentLink, type FrameSink, Replica, SetState } from "./state.ts";

/** An endpoint of the table and its candidates. */
export interface Target {
  readonly routed: RoutedEndpoint;
  readonly set: SetState;
  readonly replicas: readonly Replica[];
}

export class Fleet {
  readonly sets = new Map<string, SetState>();
  readonly links = new Map<string, AgentLink>();
  /** Endpoints by full name: the one look-up of the success path. */
  targets = new Map<string, Target>();
  #replicas = new Map<string, Replica>();

  /** Takes over a routing table. Returns the sets that are no longer in it, for their queues to be answered. */
  apply(table: RoutingTable, nowMs: number): SetState[] {
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
    for (const [key, replica] of this.#replicas) {
      if (!replica.routed && replica.outstanding === 0) this.#replicas.delete(key);
    }
    return removed;
  }

  connect(name: string, sink: FrameSink): AgentLink {
    const link: AgentLink = { name, sink, running: new Map() };
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

  /** A replica with a free slot serves this endpoint. */
  canServe(endpoint: string): boolean {
    return this.targets.get(endpoint)?.replicas.some(isFree) ?? false;
  }

  /** Something has been ready for this endpoint since `sinceMs`, or is now. */
  wasReady(set: SetState, endpoint: string, sinceMs: number): boolean {
    if ((this.targets.get(endpoint)?.replicas.length ?? 0) > 0) return true;
    return (set.lastReadyMs.get(endpoint) ?? -1) >= sinceMs;
  }

  releaseHolds(): void {
    for (const replica of this.#replicas.values()) replica.held = false;
  }

  /** Every replica that takes requests or still has some. */
  replicas(): Iterable<Replica> {
    return this.#replicas.values();
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
      replica.slots = slotsOf({ reportedSlots: entry.slots });
      replica.routed = true;
      replica.link = this.links.get(entry.agent) ?? null;
      byRouted.set(entry, replica);
      return replica;
    });
    for (const endpoint of routed.endpoints.values()) {
      const replicas = endpoint.replicas.map((entry) => byRouted.get(entry)!);
      targets.set(endpoint.endpoint, { routed: endpoint, set, replicas });
    }
  }

  #rememberReadiness(targets: ReadonlyMap<string, Target>, nowMs: number): void {
    for (const [endpoint, { set, replicas }] of this.targets) {
      if (!targets.has(endpoint)) set.lastReadyMs.delete(endpoint);
      else if (replicas.length > 0) set.lastReadyMs.set(endpoint, nowMs);
    }
  }

  #replica(agent: string, replicaSet: string, revision: number): Replica {
    const key = `${agent} ${replicaSet} ${revision}`;
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

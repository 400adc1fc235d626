/**
 * The dispatcher's counters at one moment, for views and metrics. Pure.
 * On the way: `fleet` → here → the manager's views, `metrics/ingest` and Prometheus.
 */
import type { Fleet } from "./fleet.ts";

export interface ReplicaLoad {
  agent: string;
  replicaSet: string;
  revision: number;
  slots: number;
  /** Requests that hold a slot, cancelled ones included until the agent confirms. */
  outstanding: number;
  /** Of those slots, as many as requests of modules may have: their requests wait for one of their own. */
  lent: number;
  /** It is given more as long as it has free slots. */
  available: boolean;
}

export interface DispatcherSnapshot {
  queued: number;
  outstanding: number;
  /** By replicaSet. */
  sets: Map<string, { queued: number; outstanding: number; slots: number }>;
  /** By agent: requests that hold a slot there. */
  agents: Map<string, { outstanding: number; slots: number }>;
  replicas: ReplicaLoad[];
  /** By full name; those that nothing waits for or runs of are missing. */
  endpoints: Map<string, EndpointLoad>;
}

/** Of one endpoint: its requests that wait, and those that hold a slot. */
export interface EndpointLoad {
  queued: number;
  outstanding: number;
}

/** A copy; nothing in it changes later. */
export function snapshotOf(fleet: Fleet): DispatcherSnapshot {
  const snapshot: DispatcherSnapshot = {
    queued: 0,
    outstanding: 0,
    sets: new Map(),
    agents: new Map(),
    replicas: [],
    endpoints: new Map(),
  };
  const { endpoints } = snapshot;
  for (const [name, { queue }] of fleet.sets) {
    snapshot.queued += queue.size;
    snapshot.sets.set(name, { queued: queue.size, outstanding: 0, slots: 0 });
    for (const endpoint of queue.endpoints()) {
      endpoints.set(endpoint, { queued: queue.waiting(endpoint), outstanding: 0 });
    }
  }
  for (const [name, { running }] of fleet.links) {
    snapshot.agents.set(name, { outstanding: 0, slots: 0 });
    // Only as many as slots.
    for (const { endpoint } of running.values()) {
      const load = endpoints.get(endpoint);
      if (load) load.outstanding++;
      else endpoints.set(endpoint, { queued: 0, outstanding: 1 });
    }
  }
  for (const replica of fleet.replicas()) {
    const { agent, replicaSet, revision, outstanding, lent, slots: reported, routed, available } = replica;
    // One that is no longer routed may still have requests, but takes no more.
    const slots = routed ? reported : 0;
    snapshot.replicas.push({ agent, replicaSet, revision, slots, outstanding, lent, available });
    snapshot.outstanding += outstanding;
    for (const load of [snapshot.sets.get(replicaSet), snapshot.agents.get(agent)]) {
      if (!load) continue;
      load.outstanding += outstanding;
      load.slots += slots;
    }
  }
  return snapshot;
}

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
}

/** A copy; nothing in it changes later. */
export function snapshotOf(fleet: Fleet): DispatcherSnapshot {
  const snapshot: DispatcherSnapshot = {
    queued: 0,
    outstanding: 0,
    sets: new Map(),
    agents: new Map(),
    replicas: [],
  };
  for (const [name, { queue }] of fleet.sets) {
    snapshot.queued += queue.size;
    snapshot.sets.set(name, { queued: queue.size, outstanding: 0, slots: 0 });
  }
  for (const name of fleet.links.keys()) snapshot.agents.set(name, { outstanding: 0, slots: 0 });
  for (const replica of fleet.replicas()) {
    const { agent, replicaSet, revision, outstanding, slots: reported, routed, available } = replica;
    // One that is no longer routed may still have requests, but takes no more.
    const slots = routed ? reported : 0;
    snapshot.replicas.push({ agent, replicaSet, revision, slots, outstanding, available });
    snapshot.outstanding += outstanding;
    for (const load of [snapshot.sets.get(replicaSet), snapshot.agents.get(agent)]) {
      if (!load) continue;
      load.outstanding += outstanding;
      load.slots += slots;
    }
  }
  return snapshot;
}

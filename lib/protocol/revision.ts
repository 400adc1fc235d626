/**
 * A revision: one stored, immutable version of a replicaSet's whole specification. Made by `deployment/`,
 * kept by `store/`, read by `cluster/` and `scheduling/`.
 */
import type { ModuleFile, Permissions } from "./messages.ts";

export interface RolloutPolicy {
  /** Replicas that may be missing while a rollout goes on. */
  maxUnavailable: number;
  /** Replicas that may run beyond the wanted number while a rollout goes on. */
  maxSurge: number;
  /** A replica counts as available once it has been ready for this long. */
  minReadyMs: number;
  /** A rollout without progress for this long has failed. */
  deadlineMs: number;
}

export interface RevisionSpecification {
  name: string;
  /** The user's own word for it, e.g. "1.2.0". */
  version: string;
  modules: ModuleFile[];
  replicas: number | "all";
  /** Labels an agent must have: one value or any of several. */
  placement: Record<string, string | string[]>;
  permissions: Permissions;
  env: Record<string, string>;
  memoryMb: number;
  /** Requests at once per replica; the agent's cores when absent. */
  concurrency?: number;
  queueMax: number;
  timeoutMs: number;
  /** A request may be run again when its agent is lost. */
  idempotent: boolean;
  rollout: RolloutPolicy;
}

export interface Revision {
  replicaSet: string;
  /** 1, 2, 3 … within its replicaSet. */
  revision: number;
  createdAtMs: number;
  /** A user's name, or "configuration file". */
  createdBy: string;
  specification: RevisionSpecification;
}

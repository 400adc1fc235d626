/**
 * A revision: one stored, immutable version of a replicaSet's whole specification. Made by `deployment/`,
 * kept by `store/`, read by `cluster/` and `scheduling/`.
 */
import type { ModuleFile, Permissions } from "./messages.ts";

/**
 * What an agent's label must be: one value, one of several, or an object of values it must be one of and of values it
 * must not have.
 */
export type LabelRule = string | string[] | { in?: string[]; not?: string[] };

/**
 * How many replicas are wanted: a number, one on every agent that fits, or as many as the load needs within bounds. With
 * `min` 0 it sleeps after `idleMs` without a request (`limits.scaleIdleMs` when absent).
 */
export type ReplicaCount = number | "all" | { min: number; max: number; idleMs?: number };

/** When a new revision is undone for how it answers, measured against the one before (docs/rollouts.md). */
export interface RollbackPolicy {
  /** How much larger its share of failed requests may be, 0 to 1. */
  errorRate: number;
  /** How many times as long its 95th percentile may be. */
  p95Factor: number;
  /** It is not judged before it has answered this many requests of an endpoint. */
  minRequests: number;
}

/** One stage of a canary: this share of the requests, in per cent, for this long. */
export interface CanaryStep {
  weight: number;
  holdMs: number;
}

export interface RolloutPolicy {
  /** "rolling" when absent: replica by replica, requests wherever there is room. */
  strategy?: "rolling" | "canary";
  /** Of a canary, in order; all requests go to the new revision after the last. */
  steps?: CanaryStep[];
  /** Replicas that may be missing while a rollout goes on. */
  maxUnavailable: number;
  /** Replicas that may run beyond the wanted number while a rollout goes on. */
  maxSurge: number;
  /** A replica counts as available once it has been ready for this long. */
  minReadyMs: number;
  /** A rollout without progress for this long has failed. */
  deadlineMs: number;
  /** `rollbackDefault` when absent; false: it is not judged by its answers. */
  rollback?: RollbackPolicy | false;
  /** "refuse" when absent: a revision must keep the endpoints that were called in the last hour. */
  breaking?: "refuse" | "allow";
}

export const rollbackDefault: RollbackPolicy = { errorRate: 0.05, p95Factor: 3, minRequests: 20 };
export const canaryStepsDefault: readonly CanaryStep[] = [
  { weight: 10, holdMs: 60_000 },
  { weight: 50, holdMs: 60_000 },
];

export interface RevisionSpecification {
  name: string;
  /** The user's own word for it, e.g. "1.2.0". */
  version: string;
  modules: ModuleFile[];
  replicas: ReplicaCount;
  /** By label: what an agent's must be. */
  placement: Record<string, LabelRule>;
  /** A label over whose values replicas are spread as evenly as can be. */
  spread?: string;
  permissions: Permissions;
  env: Record<string, string>;
  /** A replica's limit, and what its agent must have left for it. */
  memoryMb: number;
  /** What its agent must have left for it; 0 when absent. */
  cores?: number;
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

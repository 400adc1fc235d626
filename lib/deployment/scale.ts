/**
 * How many replicas are wanted, from what was asked for and what the load needed last. Pure.
 */
import type { ReplicaCount } from "../protocol/revision.ts";

/** Between bounds the load decides; before it has, one replica shows whether the revision works. */
export function wantedReplicas(wish: ReplicaCount, scaledTo: number | undefined): number | "all" {
  if (typeof wish !== "object") return wish;
  return Math.min(wish.max, Math.max(wish.min, scaledTo ?? 1));
}

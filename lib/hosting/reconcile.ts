/**
 * What to do so that an agent runs what it should (pure): desired replicas and actual ones → actions. Two
 * specifications are the same replica when everything but the manager's handle agrees: such a replica keeps running
 * under its new handle, so an agent that comes back reloads nothing.
 */
import type { Desired, ReplicaSpecification } from "../protocol/messages.ts";

export interface ActualReplica {
  handle: number;
  /** `replicaKey` of its specification. */
  key: string;
}

export type Action =
  | { type: "start"; specification: ReplicaSpecification }
  | { type: "renumber"; from: number; to: number }
  | { type: "stop"; handle: number };

/**
 * Stops come first, then renumberings, then starts. `actual` are the replicas that are not being stopped already;
 * of two actual ones with the same key the second is stopped, of two desired ones both run.
 */
export function reconcile(
  desired: readonly ReplicaSpecification[],
  actual: readonly ActualReplica[],
): Action[] {
  const free = new Map<string, number[]>();
  for (const { key, handle } of actual) {
    const handles = free.get(key);
    if (handles) handles.push(handle);
    else free.set(key, [handle]);
  }
  const renumbered: Action[] = [];
  const started: Action[] = [];
  for (const specification of desired) {
    const handles = free.get(replicaKey(specification));
    if (!handles || handles.length === 0) {
      started.push({ type: "start", specification });
      continue;
    }
    // The one that has the right handle already, if any.
    const at = Math.max(0, handles.indexOf(specification.handle));
    const [from] = handles.splice(at, 1);
    if (from !== specification.handle) renumbered.push({ type: "renumber", from, to: specification.handle });
  }
  const stopped = [...free.values()].flat().map((handle): Action => ({ type: "stop", handle }));
  return [...stopped, ...renumbered, ...started];
}

/** A newer generation counts, the same one again does no harm, an older one is refused. */
export function acceptsGeneration(current: number, desired: Pick<Desired, "generation">): boolean {
  return desired.generation >= current;
}

/** Equal for specifications that differ in nothing but their handle and the order of their keys. */
export function replicaKey(specification: ReplicaSpecification): string {
  const { handle: _, ...rest } = specification;
  return JSON.stringify(rest, (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0));
  });
}

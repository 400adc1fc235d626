/**
 * How many connections the system's limit on open files leaves room for. A manager that runs into that limit can't even
 * open its own files any more, so it refuses connections before.
 */
import { limits } from "../limits.ts";

/** Beside what is open at the start: children with their pipes, and connections that are just being refused. */
const spareFiles = 16;

/** Pure. `openFilesMax`: the limit, when it is known; `openFiles`: at the start. At least one. */
export function connectionsMaxFor(openFilesMax: number | undefined, openFiles: number): number {
  if (openFilesMax === undefined) return limits.connectionsMax;
  return Math.max(1, Math.min(limits.connectionsMax, openFilesMax - openFiles - spareFiles));
}

/**
 * Whether the system's limit on open files leaves room for another runner. An agent that ran into that limit could
 * neither say so nor measure itself any more, so it starts no runner before, and says why. On the way: before a runner's
 * process is spawned.
 */
import { parseOpenFilesMax } from "../open_files.ts";

export interface OpenFiles {
  /** Undefined: no limit, or none that the system tells. */
  max: number | undefined;
  now: number;
}

/** Its three pipes, its socket and the listener for it, and what tells of its end. */
const filesPerRunner = 6;
/** For the connection to the manager and the next one, modules that come, and the kernel's files that telemetry reads. */
const spareFiles = 12;

/** How many more runners there is room for. Pure. */
export function roomForRunners({ max, now }: OpenFiles): number {
  return max === undefined ? Infinity : Math.max(0, Math.floor((max - now - spareFiles) / filesPerRunner));
}

/** Why no runner can be started, in words; null when there is room. Pure. */
export function whyNoRunner(files: OpenFiles): string | null {
  if (roomForRunners(files) > 0) return null;
  return `The agent may have ${files.max} open files and has ${files.now}, which leaves no room for another runner; ` +
    "raise the limit with LimitNOFILE= or ulimit -n, or place fewer replicas here";
}

/** As it is now. Elsewhere than on Linux nobody tells. */
export function readOpenFiles(): OpenFiles {
  try {
    const max = parseOpenFilesMax(Deno.readTextFileSync("/proc/self/limits"));
    return { max, now: [...Deno.readDirSync("/proc/self/fd")].length };
  } catch {
    return { max: undefined, now: 0 };
  }
}

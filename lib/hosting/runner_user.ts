/**
 * The user that runners run as when the agent is root: someone who owns nothing, so that a module which gets past
 * its permissions still can't read the agent's keys. On compiled binaries of some runtimes `import()` skips the
 * Worker's read permission, which makes this wall the one that counts.
 */
import { dirname } from "node:path";
import type { Log } from "../log.ts";

export interface RunnerUser {
  uid: number;
  gid: number;
}

/** "nobody" on every Linux. */
const nobody: RunnerUser = { uid: 65534, gid: 65534 };

interface Needs {
  path: string;
  reads: string[];
  user: RunnerUser | null;
}

/** Null: runners keep the agent's user, which is all a non-root agent can do. Says why when a root agent can't drop. */
export function chooseRunnerUser(needs: Needs, scratchFolder: string, log: Log): RunnerUser | null {
  if (Deno.build.os === "windows" || Deno.uid() !== 0) return null;
  const blocked = [needs.path, ...needs.reads, scratchFolder].map(unreachable).find((path) => path !== null);
  if (blocked === undefined || blocked === null) return needs.user ?? nobody;
  log.warn("Runners keep running as root: their own user could not get into a folder they need", {
    folder: blocked,
    remedy:
      "move the agent and its data to folders that others may enter, e.g. /usr/local/bin and /var/lib/sqwish",
  });
  return null;
}

/** The first folder on the way to `path`, or `path` itself, that others may not enter or read or that is missing; null when there is none. */
export function unreachable(path: string): string | null {
  const isFolder = modeOf(path) === null || Deno.statSync(path).isDirectory;
  for (let at = path;; at = dirname(at)) {
    const mode = modeOf(at);
    if (mode === null) return at;
    const needed = at === path && !isFolder ? 0o004 : 0o001;
    if ((mode & needed) === 0) return at;
    if (dirname(at) === at) return null;
  }
}

function modeOf(path: string): number | null {
  try {
    return Deno.statSync(path).mode ?? 0;
  } catch {
    return null;
  }
}

/**
 * What one process uses, from `/proc`. Memory is what it has for itself (anonymous pages and swap), so that the
 * executable's pages, which all runners share, are not counted for each. Absent where there is no `/proc`.
 */

export interface ProcessSample {
  memoryBytes: number;
  /** CPU time since the process started, in ms. */
  cpuMs: number;
}

/** Linux reports CPU time in hundredths of a second to programs, whatever the kernel's own tick is. */
const msPerTick = 10;

/** `undefined` when the process is gone or the host has no `/proc`. */
export function readProcessSample(
  pid: number,
  readText: (path: string) => string,
): ProcessSample | undefined {
  try {
    return parseProcessSample(readText(`/proc/${pid}/status`), readText(`/proc/${pid}/stat`));
  } catch {
    return undefined;
  }
}

/** From the texts of `/proc/PID/status` and `/proc/PID/stat` (proc(5)). */
export function parseProcessSample(status: string, stat: string): ProcessSample {
  const kiB = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0);
  // The second field is the program's name in parentheses, which may hold anything; the rest is counted after it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
  return {
    memoryBytes: (kiB("RssAnon") + kiB("VmSwap")) * 1024,
    cpuMs: (userTicks + systemTicks) * msPerTick,
  };
}

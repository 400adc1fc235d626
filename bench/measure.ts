/**
 * What Linux knows of processes: CPU time and memory, out of /proc. CPU time comes in ticks of 10 ms, so windows
 * of less than a few seconds say little about a process that is mostly idle.
 */

import { parseDiskWritten } from "../lib/metrics/process_meter.ts";

const ticksPerSecond = 100;

/** Fields of /proc/PID/stat after the name, by number: user and system time, and those of ended children. */
const ownTime = [11, 12];
const childrenTime = [13, 14];

/** CPU time of all of them together, µs, user and system. Those that are gone count as 0. */
export function cpuUsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statTimeUs(pid, ownTime), 0);
}

/** CPU time of all the children of this process that have ended, µs. */
export function childrenCpuUs(): number {
  return statTimeUs(Deno.pid, childrenTime);
}

function statTimeUs(pid: number, fields: readonly number[]): number {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === "") return 0;
  // The program's name stands in parentheses and may hold spaces; the fields after it are counted from there.
  const values = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.reduce((sum, field) => sum + Number(values[field]), 0) * 1e6 / ticksPerSecond;
}

/** The processes of a system by role. */
export interface Processes {
  /** "broker" is what all requests pass through, and empty where there is none. */
  readonly pids: Readonly<Record<string, readonly number[]>>;
  /** Whatever these start, now or later, counts as "workers". */
  readonly supervisors?: readonly number[];
}

/** CPU time of each role so far, µs. */
export function cpuByRole(processes: Processes): Record<string, number> {
  return Object.fromEntries(
    Object.entries(pidsByRole(processes)).map(([role, pids]) => [role, cpuUsOf(pids)]),
  );
}

/** MiB of each role. */
export function memoryByRole(processes: Processes): Record<string, RoleMemory> {
  return Object.fromEntries(
    Object.entries(pidsByRole(processes)).map((
      [role, pids],
    ) => [role, { ...memoryOf(pids), processes: pids.length }]),
  );
}

function pidsByRole({ pids, supervisors }: Processes): Record<string, readonly number[]> {
  return supervisors ? { ...pids, workers: supervisors.flatMap(descendantsOf) } : { ...pids };
}

export interface Memory {
  /** All it has in memory, what it shares with others included. */
  rssMb: number;
  /** What it shares counted in parts: the sum over all processes is what the machine lacks. */
  pssMb: number;
}

export interface RoleMemory extends Memory {
  processes: number;
}

/** MiB of all of them together. */
export function memoryOf(pids: readonly number[]): Memory {
  const memory = { rssMb: 0, pssMb: 0 };
  for (const pid of pids) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    memory.rssMb += Number(/^Rss: +(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024;
    memory.pssMb += Number(/^Pss: +(\d+)/m.exec(rollup)?.[1] ?? 0) / 1024;
  }
  return memory;
}

/** The children of a process, theirs, and so on. */
export function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

export function childrenOf(pid: number): number[] {
  return threadsOf(pid).flatMap((thread) => {
    const pids = read(`/proc/${pid}/task/${thread}/children`).split(" ");
    return pids.filter((text) => text !== "").map(Number);
  });
}

function threadsOf(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Bytes a process and its ended children had written to disks; undefined where the kernel doesn't tell. */
export function diskWrittenOf(pid: number): number | undefined {
  return parseDiskWritten(read(`/proc/${pid}/io`));
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

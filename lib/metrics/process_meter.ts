/** What a program of ours itself uses: CPU since the last reading, resident memory, and the disk. */
import { cpuUsage } from "node:process";
import type { Clock } from "../clock.ts";
import { rounded } from "./sample.ts";

export interface ProcessUse {
  /** 1 is one whole core. */
  cpuCores: number;
  /** CPU time since the process started. */
  cpuSeconds: number;
  memoryBytes: number;
}

/** Readings less than half a second apart share one, since a share of so little time says nothing. */
export function createProcessMeter(clock: Clock): () => ProcessUse {
  let lastUs = totalUs();
  let lastMs = clock.monotonicMs();
  let use: ProcessUse = { cpuCores: 0, cpuSeconds: lastUs / 1e6, memoryBytes: Deno.memoryUsage().rss };
  return () => {
    const ms = clock.monotonicMs();
    if (ms - lastMs < 500) return use;
    const us = totalUs();
    use = {
      cpuCores: rounded((us - lastUs) / 1000 / (ms - lastMs)),
      cpuSeconds: us / 1e6,
      memoryBytes: Deno.memoryUsage().rss,
    };
    lastUs = us;
    lastMs = ms;
    return use;
  };
}

/**
 * Bytes that this process and its children that have ended have had written to disks since its start, counted when a
 * page of a file is first made dirty (proc_pid_io(5), `write_bytes`). Undefined where the system doesn't tell.
 */
export function readDiskWritten(): number | undefined {
  try {
    return parseDiskWritten(Deno.readTextFileSync("/proc/self/io"));
  } catch {
    return undefined;
  }
}

/** Of a file that was removed before it reached the disk, nothing was written. */
export function parseDiskWritten(text: string): number | undefined {
  const field = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1] ?? NaN);
  const bytes = field("write_bytes") - field("cancelled_write_bytes");
  return Number.isNaN(bytes) ? undefined : Math.max(0, bytes);
}

function totalUs(): number {
  const { user, system } = cpuUsage();
  return user + system;
}

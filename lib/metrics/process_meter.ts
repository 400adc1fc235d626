/** What a program of ours itself uses: CPU since the last reading, and resident memory. */
import { cpuUsage } from "node:process";
import type { Clock } from "../clock.ts";

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
      cpuCores: (us - lastUs) / 1000 / (ms - lastMs),
      cpuSeconds: us / 1e6,
      memoryBytes: Deno.memoryUsage().rss,
    };
    lastUs = us;
    lastMs = ms;
    return use;
  };
}

function totalUs(): number {
  const { user, system } = cpuUsage();
  return user + system;
}

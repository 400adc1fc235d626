/**
 * Gives memory back to the system that the C library keeps for later: what a start or a peak of load has used and freed
 * again, 5 to 15 MB of a manager or an agent. Done once there is little else to do, since it holds the process up
 * for some 2 ms per MB. Only glibc can (malloc_trim(3)).
 */
import { cpuUsage, memoryUsage } from "node:process";
import { openCLibrary } from "./c_library.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

const lookMs = 10_000;
/** Of a core: who uses less has time for it. */
const quietShareMax = 0.05;
/** CPU time since the last time: after less than this nothing is worth giving back. */
const workMsMin = 500;

export interface GiveBackOptions {
  clock: Pick<Clock, "every">;
  /** CPU time of this process, in ms. */
  cpuMs(): number;
  giveBack(): void;
}

/** Calls `giveBack` in the first quiet ten seconds after the start or some work, until stopped by the returned function. */
export function giveBackWhenQuiet({ clock, cpuMs, giveBack }: GiveBackOptions): () => void {
  /** CPU time at the last look, and when memory was given back. */
  let seenMs = cpuMs();
  let givenBackMs = -Infinity;
  return clock.every(lookMs, () => {
    const usedMs = cpuMs();
    const isQuiet = usedMs - seenMs < quietShareMax * lookMs;
    seenMs = usedMs;
    if (!isQuiet || usedMs - givenBackMs < workMsMin) return;
    giveBack();
    givenBackMs = usedMs;
  });
}

/** Of this process, where its C library can and may be called, telling of each time; returns the stop. */
export function keepMemorySmall({ clock, log }: { clock: Clock; log: Log }): () => void {
  const trim = openGiveBack();
  if (trim === null) return () => {};
  return giveBackWhenQuiet({
    clock,
    cpuMs: ownCpuMs,
    giveBack() {
      const [startMs, before] = [clock.monotonicMs(), memoryUsage.rss()];
      trim();
      const tookMs = Math.round(clock.monotonicMs() - startMs);
      log.debug("gave memory back", { bytes: Math.max(0, before - memoryUsage.rss()), tookMs });
    },
  });
}

/** Null where it can't be done. */
export function openGiveBack(): (() => void) | null {
  const library = openCLibrary({ malloc_trim: { parameters: ["usize"], result: "i32" } });
  return library && (() => void library.symbols.malloc_trim(0n));
}

function ownCpuMs(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1000;
}

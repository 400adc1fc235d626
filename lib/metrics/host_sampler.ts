/**
 * What the agent's machine is doing, read from the kernel's text files once a second and sent as telemetry.
 * One pure parser per file; a file that is missing (macOS, containers, no sensor) leaves its value out.
 * Invariant: `sample()` never throws, for telemetry is the keepalive.
 */
import type { HostSample } from "../protocol/messages.ts";
import { rounded } from "./sample.ts";

/** Returns a file's text, or undefined where there is no such file or it can't be read. */
export type ReadText = (path: string) => string | undefined;

/** What the runtime knows on systems without /proc. */
export interface RuntimeHost {
  load1: number;
  memoryTotalBytes: number;
  memoryUsedBytes: number;
}

export interface HostSamplerOptions {
  /** The kernel's files; from the disk unless given. */
  readText?: ReadText;
  cores: number;
  /** Asked where /proc is missing; the runtime's own answer unless given. */
  runtime?: () => RuntimeHost;
}

export interface HostSampler {
  /** The machine's state now; `cpu` is the share since the last call, or since `createHostSampler()`. */
  sample(): HostSample;
}

/** Jiffies since boot, summed over all cores. */
export interface CpuTimes {
  busy: number;
  total: number;
}

const thermalZonesMax = 10;
/** Where the Pi's firmware says whether it holds itself back; the first is Pi 1 to 4, the second Pi 5. */
const throttlePaths = [
  "/sys/devices/platform/soc/soc:firmware/get_throttled",
  "/sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled",
];
/** Undervoltage, frequency capped, throttled, soft temperature limit: now. Higher bits say "since boot". */
const throttledNowBits = 0xf;

/** Makes a sampler that remembers the CPU times of its last sample. */
export function createHostSampler(options: HostSamplerOptions): HostSampler {
  const { readText = readHostText, runtime = readRuntimeHost, cores } = options;
  const zonePaths = findThermalZones(readText);
  const throttlePath = throttlePaths.find((path) => readText(path) !== undefined);
  let before = parseCpuTimes(readText("/proc/stat"));
  let cpu = 0;

  function sampleCpu(load1: number): number {
    const now = parseCpuTimes(readText("/proc/stat"));
    // Without /proc the load is the nearest thing to a share.
    if (!now) return Math.min(1, load1 / cores);
    if (before && now.total > before.total) cpu = rounded(shareBetween(before, now));
    before = now;
    return cpu;
  }

  function sample(): HostSample {
    const memory = parseMemory(readText("/proc/meminfo"));
    const knownLoad1 = parseLoad1(readText("/proc/loadavg"));
    const fallback = memory && knownLoad1 !== undefined ? undefined : runtime();
    const load1 = knownLoad1 ?? fallback?.load1 ?? 0;
    const temperatures = zonePaths.map((path) => parseTemperature(readText(path))).filter(isNumber);
    const throttled = throttlePath === undefined ? undefined : parseThrottled(readText(throttlePath));
    return {
      cpu: sampleCpu(load1),
      load1,
      memoryUsedBytes: memory?.usedBytes ?? fallback?.memoryUsedBytes ?? 0,
      memoryTotalBytes: memory?.totalBytes ?? fallback?.memoryTotalBytes ?? 0,
      ...(temperatures.length === 0 ? {} : { temperatureC: Math.max(...temperatures) }),
      ...(throttled === undefined ? {} : { throttled }),
    };
  }
  return { sample };
}

/** The first line of /proc/stat, as proc(5) has it: user nice system idle iowait irq softirq steal guest guest_nice. */
export function parseCpuTimes(text: string | undefined): CpuTimes | undefined {
  const line = text?.match(/^cpu +(.+)$/m)?.[1];
  if (line === undefined) return undefined;
  // guest and guest_nice are counted within user and nice already.
  const times = line.trim().split(/ +/).slice(0, 8).map(Number);
  if (times.length < 4 || times.some((time) => !Number.isFinite(time))) return undefined;
  const total = times.reduce((sum, time) => sum + time, 0);
  const idle = times[3] + (times[4] ?? 0);
  return { busy: total - idle, total };
}

/** The share of all cores in use between two readings, 0 to 1. iowait may run backwards, hence the bounds. */
export function shareBetween(before: CpuTimes, now: CpuTimes): number {
  const passed = now.total - before.total;
  return passed <= 0 ? 0 : Math.min(1, Math.max(0, (now.busy - before.busy) / passed));
}

/** /proc/loadavg: the average of the last minute. */
export function parseLoad1(text: string | undefined): number | undefined {
  const load1 = Number.parseFloat(text ?? "");
  return load1 >= 0 ? load1 : undefined;
}

/** /proc/meminfo: what the kernel could not give away is in use. Before Linux 3.14 there is no MemAvailable. */
export function parseMemory(text: string | undefined): { totalBytes: number; usedBytes: number } | undefined {
  const bytesOf = (key: string) => {
    const kib = text?.match(new RegExp(`^${key}: +(\\d+) kB`, "m"))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  };
  const totalBytes = bytesOf("MemTotal");
  if (totalBytes === undefined) return undefined;
  const reclaimable = (bytesOf("MemFree") ?? 0) + (bytesOf("Buffers") ?? 0) + (bytesOf("Cached") ?? 0);
  const availableBytes = bytesOf("MemAvailable") ?? reclaimable;
  return { totalBytes, usedBytes: Math.max(0, totalBytes - availableBytes) };
}

/** A thermal zone's temp: thousandths of a degree Celsius. What no machine has is a broken sensor. */
export function parseTemperature(text: string | undefined): number | undefined {
  const celsius = Number.parseInt(text ?? "", 10) / 1000;
  return celsius > -50 && celsius < 150 && celsius !== 0 ? celsius : undefined;
}

/** The Pi firmware's get_throttled: hexadecimal bits, with or without 0x. True: the machine holds itself back now. */
export function parseThrottled(text: string | undefined): boolean | undefined {
  const bits = Number.parseInt(text ?? "", 16);
  return Number.isNaN(bits) ? undefined : (bits & throttledNowBits) !== 0;
}

function findThermalZones(readText: ReadText): string[] {
  const paths = Array.from(
    { length: thermalZonesMax },
    (_, zone) => `/sys/class/thermal/thermal_zone${zone}/temp`,
  );
  return paths.filter((path) => readText(path) !== undefined);
}

function isNumber(value: number | undefined): value is number {
  return value !== undefined;
}

function readHostText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

function readRuntimeHost(): RuntimeHost {
  const { total, available } = Deno.systemMemoryInfo();
  return {
    load1: Deno.loadavg()[0],
    memoryTotalBytes: total,
    memoryUsedBytes: Math.max(0, total - available),
  };
}

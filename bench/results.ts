/**
 * Everything measured, as `docs/benchmarks/raw.json` keeps it. Each scenario is a part of its own and replaces only
 * itself, so that the soak of a night and the comparison of another stand on one page, each with its circumstances.
 */
import { join } from "node:path";
import type { Sample } from "./scenarios/compare.ts";
import type { IdlePoint } from "./scenarios/idle.ts";
import type { MixedRound } from "./scenarios/mixed.ts";
import type { Queued } from "./scenarios/queued.ts";
import type { RunnerStart } from "./scenarios/runner_start.ts";
import type { Dimension, ScalingPoint } from "./scenarios/scaling.ts";
import type { Soak } from "./scenarios/soak.ts";

/** What each scenario finds. */
export interface Findings {
  throughput: Sample[];
  http: Sample[];
  mixed: MixedRound[];
  idle: IdlePoint[];
  queued: Queued;
  scaling: Record<Dimension, ScalingPoint[]>;
  runner: RunnerStart;
  soak: Soak;
}

export type ScenarioName = keyof Findings;

export interface Part<T> {
  circumstances: Circumstances;
  found: T;
}

export type Results = { [Name in ScenarioName]?: Part<Findings[Name]> };

export interface Circumstances {
  /** Day of the run. */
  date: string;
  cpu: string;
  cores: number;
  memoryGb: number;
  /** Programs and packages with their versions. */
  versions: Record<string, string>;
  /** How Sqwish was run: from source or as binaries. */
  sqwish: string;
  rounds: number;
  seconds: number;
  /** Slots per replica, when they were fixed. */
  concurrency?: number;
  /** What had to be left out, and why. */
  notRun: string[];
}

const fileName = "raw.json";

/** `folder` is the one of the page's pictures. */
export async function readResults(folder: string): Promise<Results> {
  const text = await Deno.readTextFile(join(folder, fileName)).catch(() => "{}");
  return JSON.parse(text);
}

export async function writeResults(folder: string, results: Results): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, fileName), `${JSON.stringify(results, rounded, 1)}\n`);
}

/** Digits that mean nothing would be most of the file. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}

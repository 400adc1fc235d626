/** What a fault is to those who run it, and how one round of it is run under load. */
import type { ErrorCode } from "../../lib/errors.ts";
import { judge, type Verdict } from "./ledger.ts";
import type { Stage, StageOptions } from "./stage.ts";
import type { LoadOptions } from "./steady_load.ts";

/** What doing it told. */
export interface Done {
  /** When the harm was done, by the wall clock. */
  atMs: number;
  /** How long until the cluster noticed. */
  noticedMs?: number;
  /** Whatever else is worth a column of its own in the raw file. */
  figures?: Record<string, number>;
}

export interface Fault {
  /** As on the command line. */
  name: string;
  title: string;
  /** What users see of it, in words. */
  seen: string;
  /** What requests that aren't idempotent may be told; nothing when absent. */
  errors?: ErrorCode[];
  stage?: StageOptions;
  load?: Partial<Omit<LoadOptions, "prefix">>;
  /** Does the harm, waits until it is noticed, and undoes it. */
  run(stage: Stage): Promise<Done>;
}

export interface Round extends Verdict {
  noticedMs?: number;
  figures?: Record<string, number>;
}

const warmMs = 700;
const afterwardsMs = 500;

/** One round: load, harm, everything whole again, judgement. */
export async function runRound(fault: Fault, stage: Stage): Promise<Round> {
  const load = stage.load(fault.load);
  await pause(warmMs);
  let done: Done;
  try {
    done = await fault.run(stage);
    await stage.whole();
    await pause(afterwardsMs);
  } finally {
    await load.stop();
  }
  const verdict = judge(load.sent, await stage.runs(), done.atMs);
  const { noticedMs, figures } = done;
  return { ...verdict, ...(noticedMs === undefined ? {} : { noticedMs }), ...(figures ? { figures } : {}) };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

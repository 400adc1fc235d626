/** What a fault is to those who run it, and how one round of it is run under load. */
import type { ErrorCode } from "../../lib/errors.ts";
import { judge, type Verdict } from "./ledger.ts";
import { type Stage, type StageOptions, withStage } from "./stage.ts";
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

/** How it is done, and on what. */
export interface Scene {
  stage?: StageOptions;
  /** Does the harm, waits until it is noticed, and undoes it. */
  run(stage: Stage): Promise<Done>;
  /** After the stage has gone. */
  undo?(): Promise<void>;
}

interface FaultText {
  /** As on the command line. */
  name: string;
  title: string;
  /** What users see of it, in words. */
  seen: string;
  /** What requests that aren't idempotent may be told; nothing when absent. */
  errors?: ErrorCode[];
  load?: Partial<Omit<LoadOptions, "prefix">>;
  /** Not one of the tests. */
  isLong?: true;
}

/** `prepare`: for a scene that needs something made before, in a folder that others may enter. */
export type Fault = FaultText & (Scene | { prepare(folder: string): Promise<Scene> });

export interface Round extends Verdict {
  noticedMs?: number;
  figures?: Record<string, number>;
}

const warmMs = 700;
const afterwardsMs = 500;

/** All rounds of a fault on one stage, with nothing left of it afterwards. */
export async function runFault(fault: Fault, rounds: number, tell = (_: Round) => {}): Promise<Round[]> {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-fault-" });
  await Deno.chmod(folder, 0o711);
  let scene: Scene | undefined;
  try {
    scene = "prepare" in fault ? await fault.prepare(folder) : fault;
    const { stage = {}, run } = scene;
    return await withStage(stage, async (ready) => {
      const done: Round[] = [];
      while (done.length < rounds) {
        done.push(await runRound(fault, run, ready));
        tell(done.at(-1)!);
      }
      return done;
    });
  } finally {
    await scene?.undo?.();
    await Deno.remove(folder, { recursive: true });
  }
}

/** One round: load, harm, everything whole again, judgement. */
async function runRound({ load: options }: Fault, run: Scene["run"], stage: Stage): Promise<Round> {
  const load = stage.load(options);
  await pause(warmMs);
  let done: Done;
  try {
    done = await run(stage);
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

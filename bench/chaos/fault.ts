/** What a fault is to those who run it, and how one round of it is run under load. */
import { type Bounds, complaints, judge, type Verdict } from "./ledger.ts";
import { type NoteOptions, type Stage, type StageOptions, withStage } from "./stage.ts";

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
  /** Does the harm and sees that it is done, waits until it is noticed, and undoes it. */
  run(stage: Stage): Promise<Done>;
  /** After the stage has gone. */
  undo?(): Promise<void>;
}

interface FaultText extends Bounds {
  /** As on the command line. */
  name: string;
  title: string;
  /** What users see of it, in words. */
  seen: string;
  load?: NoteOptions;
  /** Not one of the tests. */
  isLong?: true;
}

/** `prepare`: for a scene that needs something made before, in a folder that others may enter. */
export type Fault = FaultText & (Scene | { prepare(folder: string): Promise<Scene> });

export interface Round extends Verdict {
  /** What of the promise was not kept, in words. */
  broken: string[];
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

/** One round: load, harm, everything whole again, judgement of every load that the scene had. */
async function runRound(fault: Fault, run: Scene["run"], stage: Stage): Promise<Round> {
  stage.load(fault.load);
  await pause(warmMs);
  let done: Done;
  try {
    done = await run(stage);
    await stage.whole();
    await pause(afterwardsMs);
  } finally {
    await stage.stopLoads();
  }
  const verdict = judge(stage.takeSent(), await stage.runs(), done.atMs);
  const { noticedMs, figures } = done;
  return {
    ...verdict,
    broken: complaints(verdict, fault),
    ...(noticedMs === undefined ? {} : { noticedMs }),
    ...(figures ? { figures } : {}),
  };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

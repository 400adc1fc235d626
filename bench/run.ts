/** Runs scenarios one after the other and returns what they found; everything they started is gone afterwards. */
import { choose } from "./command_line.ts";
import { dirname } from "node:path";
import { programsFromFolder, programsFromSource } from "../examples/demo/programs.ts";
import { describeMachine } from "./machine.ts";
import { installed, peers } from "./peers/all.ts";
import type { Raw } from "./report.ts";
import { scenarios } from "./scenarios/all.ts";
import { type Session, writeCertificate } from "./session.ts";

export interface RunOptions {
  /** Names; empty for all that are not run only by name. */
  scenarios: readonly string[];
  /** Names of those to compare with; all when left out. */
  peers?: readonly string[];
  /** Only parts of scenarios whose title holds this text. */
  cases: string;
  rounds: number;
  seconds: number;
  warmSeconds: number;
  soakMinutes: number;
  quick: boolean;
  concurrency?: number;
  /** Folder of compiled programs; from source when left out. */
  binaries?: string;
  interrupted: AbortSignal;
  say(line: string): void;
  /** Called after each scenario, so that a failure later on loses nothing. */
  onRecord(records: Raw): Promise<void>;
}

/** Throws for names that don't exist, and what a scenario throws. */
export async function runScenarios(options: RunOptions): Promise<Raw> {
  const { rounds, seconds, cases, say } = options;
  const chosen = choose("scenario", scenarios, options.scenarios).filter(
    ({ name, onlyByName }) => !onlyByName || options.scenarios.includes(name),
  );
  const wanted = choose("peer", peers, options.peers ?? []);
  const machine = await describeMachine();
  const raw: Raw = {};
  const folder = await Deno.makeTempDir({ prefix: "sqwish-bench-" });
  let missing: string[] = [];
  try {
    const root = dirname(import.meta.dirname!);
    const session: Session = {
      ...{ rounds, folder, say },
      warmMs: options.warmSeconds * 1000,
      windowMs: seconds * 1000,
      soakMs: options.soakMinutes * 60_000,
      quick: options.quick,
      programs: options.binaries ? await programsFromFolder(options.binaries) : programsFromSource(root),
      concurrency: options.concurrency,
      certificate: await writeCertificate(folder),
      interrupted: options.interrupted,
      wants: (title) => title.includes(cases),
      async installed(some) {
        const found = await installed(some);
        for (const line of found.missing) say(line);
        missing = [...missing, ...found.missing];
        return found.present;
      },
    };
    for (const scenario of chosen) {
      missing = [];
      const present = await session.installed(wanted);
      say(`— ${scenario.title}`);
      const result = await scenario.run(session, present);
      const date = new Date().toISOString().slice(0, 10);
      raw[scenario.name] = { date, machine, rounds, seconds, missing: [...new Set(missing)], result };
      await options.onRecord({ [scenario.name]: raw[scenario.name] });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return raw;
}

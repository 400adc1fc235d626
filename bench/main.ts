/**
 * The command line: `task bench [scenario…] [options]`. Without a scenario it runs all but the soak; "report" only
 * writes the page anew from the raw rounds. Progress goes to stderr.
 */
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { programsFromFolder, programsFromSource } from "../examples/demo/programs.ts";
import { circumstancesOf } from "./circumstances.ts";
import { titleOf } from "./peers/all.ts";
import { writeReport } from "./report.ts";
import { readResults, type ScenarioName, writeResults } from "./results.ts";
import { fullScale, type Scale, scenarios, smokeScale } from "./scenarios/all.ts";
import { type Session, withSession } from "./session.ts";

const options = {
  rounds: { type: "string", default: "3" },
  seconds: { type: "string", default: "5" },
  peers: { type: "string", default: "" },
  cases: { type: "string", default: "" },
  minutes: { type: "string", default: "60" },
  binaries: { type: "string" },
  concurrency: { type: "string" },
  out: { type: "string" },
  smoke: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

const help = `task bench [${Object.keys(scenarios).join("|")}|report]… [options]
  --rounds N         rounds of each measurement (3)
  --seconds S        measured time of each (5)
  --peers A,B        only these systems: nats, moleculer, haproxy, relay, sqwish, sqwish-http
  --cases TEXT       only workloads whose name contains it, as "64 B, 64"
  --minutes M        length of the soak (60)
  --binaries FOLDER  Sqwish as compiled programs, from dist/<target>
  --concurrency N    slots per replica of Sqwish's echo, instead of adaptive ones
  --out FOLDER       where benchmarks.md and benchmarks/ go; without it a run that is not the whole of its
                     scenario (--peers, --cases, --smoke) writes nothing, any other writes docs/
  --smoke            a little of everything`;

/** Resolves with the exit code. */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const known = [...Object.keys(scenarios), "report"];
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`There is no scenario "${unknown}", there are: ${known.join(", ")}`);
  }
  const names = positionals.length > 0 ? positionals : known.filter((name) => name !== "soak");
  const root = dirname(import.meta.dirname!);
  const partial = values.peers !== "" || values.cases !== "" || values.smoke;
  const out = values.out ?? (partial ? undefined : join(root, "docs"));
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => interrupted.abort(new Error("The benchmark was interrupted")));
  }
  const scale = values.smoke ? smokeScale : fullScale;
  const session = {
    rounds: positiveNumber("rounds", values.rounds),
    warmMs: values.smoke ? 100 : 1500,
    windowMs: positiveNumber("seconds", values.seconds) * 1000,
    programs: values.binaries ? await programsFromFolder(values.binaries) : programsFromSource(root),
    concurrency: values.concurrency ? positiveNumber("concurrency", values.concurrency) : undefined,
    interrupted: interrupted.signal,
    say: (line: string) => console.error(line),
  };
  const wanted = {
    scale: {
      ...scale,
      cases: scale.cases.filter(({ title }) => title.includes(values.cases)),
      httpCases: scale.httpCases.filter(({ title }) => title.includes(values.cases)),
      soakMinutes: values.smoke ? scale.soakMinutes : positiveNumber("minutes", values.minutes),
    },
    peers: values.peers === "" ? [] : values.peers.split(","),
    names: names.filter((name) => name !== "report") as ScenarioName[],
    sqwish: values.binaries ? "compiled programs" : "from source",
    out,
  };
  await withSession(session, (open) => run(open, wanted));
  if (out !== undefined) {
    console.error(`wrote ${await writeReport(out, await readResults(join(out, "benchmarks")))}`);
  }
  return 0;
}

interface Wanted {
  scale: Scale;
  /** Empty for all. */
  peers: string[];
  names: ScenarioName[];
  /** How it is run. */
  sqwish: string;
  out?: string;
}

/** What each scenario found is written at once: a long run that fails near its end has not been for nothing. */
async function run(session: Session, { scale, peers, names, sqwish, out }: Wanted): Promise<void> {
  const unknown = peers.find((name) => titleOf(name) === undefined);
  if (unknown !== undefined) throw new Error(`There is no peer "${unknown}"`);
  for (const name of names) {
    session.say(`--- ${name}`);
    session.notRun.length = 0;
    const found = await scenarios[name](session, scale, peers);
    if (out === undefined) continue;
    const { rounds, windowMs, concurrency, notRun } = session;
    const circumstances = await circumstancesOf({
      ...{ sqwish, rounds, seconds: windowMs / 1000, concurrency, notRun: [...notRun] },
    });
    const pictures = join(out, "benchmarks");
    await writeResults(pictures, { ...await readResults(pictures), [name]: { circumstances, found } });
  }
}

function positiveNumber(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new Error(`--${name} must be a number above 0, is "${text}"`);
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (thrown) {
    console.error((thrown as Error).message);
    Deno.exit(1);
  }
}

/**
 * The command line: `task bench [scenario…] [options]`. Progress goes to stderr, tables to stdout, and with `--out`
 * the page, its pictures and all rounds into that folder.
 */
import { parseArgs } from "node:util";
import { positive, runProgram } from "./command_line.ts";
import { render, writeReport } from "./report.ts";
import { runScenarios } from "./run.ts";
import { scenarios } from "./scenarios/all.ts";

const usage = `task bench [scenario…] [options]
  scenarios        ${scenarios.map(({ name }) => name).join(", ")}; all but soak when left out
  --rounds N       how often everything is measured (3)
  --seconds S      measured time of each (5)
  --warm S         time before that, not measured (1.5)
  --peers A,B      of nats, moleculer, haproxy, relay, sqwish
  --cases TEXT     only those whose title holds this; the page then has no others of that scenario
  --binaries DIR   compiled programs, as \`task build\` leaves them
  --concurrency N  slots per replica of Sqwish instead of its own choice
  --soak-minutes N length of the soak (60)
  --quick          the smallest numbers: whether it works, not how fast
  --out DIR        where benchmarks.md and benchmarks/ are written
  --render DIR     only make the page of DIR anew`;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    warm: { type: "string", default: "1.5" },
    peers: { type: "string" },
    cases: { type: "string", default: "" },
    concurrency: { type: "string" },
    binaries: { type: "string" },
    "soak-minutes": { type: "string", default: "60" },
    quick: { type: "boolean", default: false },
    out: { type: "string" },
    render: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.help) return console.log(usage);
  if (values.render !== undefined) return await writeReport(values.render, {});
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => interrupted.abort(new Error("The benchmark was interrupted")));
  }
  const raw = await runScenarios({
    scenarios: positionals,
    peers: values.peers?.split(","),
    cases: values.cases,
    rounds: positive("--rounds", values.rounds),
    seconds: positive("--seconds", values.seconds),
    warmSeconds: positive("--warm", values.warm),
    soakMinutes: positive("--soak-minutes", values["soak-minutes"]),
    quick: values.quick,
    concurrency: values.concurrency === undefined ? undefined : positive("--concurrency", values.concurrency),
    binaries: values.binaries,
    interrupted: interrupted.signal,
    say: (line) => console.error(line),
    onRecord: async (records) => {
      if (values.out !== undefined) await writeReport(values.out, records);
    },
  });
  console.log(render(raw).markdown);
}

await runProgram(main);

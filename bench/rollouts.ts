/**
 * Repeats each rollout trial, and cold starts, and prints a table for docs/rollouts.md: `deno run -A bench/rollouts.ts
 * [--runs 10] [--only TEXT] [--binaries DIR]`. Each has a cluster of its own on this machine, which is ended afterwards.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { positive, runProgram, WrongUsage } from "./command_line.ts";
import { coldStarts } from "./rollouts/cold_starts.ts";
import { startCluster } from "../tests/support/cluster.ts";
import { median, table } from "./statistics.ts";
import { type Trial, type TrialResult, trials } from "./rollouts/trials.ts";

const coldStartsName = "cold starts";
const head = [
  "under load",
  "runs",
  "requests",
  "failed",
  "in the worst run",
  "failed or slow",
  "in the worst run",
  "undone after",
  "load held up at most",
];

async function repeat(trial: Trial, runs: number, binaries?: string): Promise<TrialResult[]> {
  const cluster = await startCluster({ agents: 3, binaries });
  try {
    const sqwish = await cluster.connect();
    const results: TrialResult[] = [];
    for (let run = 1; run <= runs; run++) {
      const result = await trial(cluster, sqwish, { before: 4, after: 10 });
      results.push(result);
      console.error(`  ${run}: ${JSON.stringify(result)}`);
    }
    return results;
  } finally {
    await cluster.close();
  }
}

function rowOf(name: string, results: TrialResult[]): string[] {
  const sum = (of: (result: TrialResult) => number) => results.reduce((total, each) => total + of(each), 0);
  const worst = (of: (result: TrialResult) => number) =>
    `${Math.max(...results.map((result) => of(result) / result.requests * 100)).toFixed(2)} %`;
  const undoneS = results.flatMap(({ undoneMs }) => undoneMs === undefined ? [] : [undoneMs / 1000]);
  const failed = (result: TrialResult) => result.failed;
  const touched = (result: TrialResult) => result.touched;
  const stalledMs = Math.max(...results.map((result) => result.stalledMs));
  return [
    ...[name, `${results.length}`, `${sum(({ requests }) => requests)}`],
    ...[
      `${sum(failed)}`,
      worst(failed),
      `${sum(touched)}`,
      worst(touched),
      spread(undoneS, 1, "s"),
      `${stalledMs} ms`,
    ],
  ];
}

/** The median, and the least to the most; a dash for none. */
function spread(values: readonly number[], digits: number, unit: string): string {
  if (values.length === 0) return "–";
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)]
    .map((value) => value.toFixed(digits));
  return `${middle} ${unit} (${least} to ${most})`;
}

async function showColdStarts(count: number, binaries?: string): Promise<void> {
  const cluster = await startCluster({ agents: 1, binaries });
  try {
    const starts = await coldStarts(await cluster.connect(), count);
    for (const start of starts) console.error(`  ${JSON.stringify(start)}`);
    const waited = spread(starts.map(({ waitedMs }) => waitedMs), 0, "ms");
    const told = spread(starts.map(({ coldStartMs }) => coldStartMs), 0, "ms");
    console.log(
      `\n${count} cold starts: ${waited} for the client, ${told} of them until the replica was ready`,
    );
  } finally {
    await cluster.close();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "10" },
      only: { type: "string", default: "" },
      binaries: { type: "string" },
    },
  });
  const { only } = values;
  const runs = positive("--runs", values.runs);
  const binaries = values.binaries && resolve(values.binaries);
  const chosen = [...trials].filter(([name]) => name.includes(only));
  const startsToo = coldStartsName.includes(only);
  if (chosen.length === 0 && !startsToo) {
    const names = [...trials.keys(), coldStartsName].join(", ");
    throw new WrongUsage(`--only must be in the name of one of ${names}, is ${only}`);
  }
  const rows: string[][] = [];
  for (const [name, trial] of chosen) {
    console.error(name);
    rows.push(rowOf(name, await repeat(trial, runs, binaries)));
  }
  if (rows.length > 0) console.log(table(head, rows));
  if (startsToo) await showColdStarts(runs, binaries);
}

await runProgram(main);

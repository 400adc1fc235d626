/**
 * Repeats each rollout trial, and cold starts, and prints a table for docs/rollouts.md: `deno run -A bench/rollouts.ts
 * [--runs 10] [--only TEXT] [--binaries DIR]`. Each has a cluster of its own on this machine, which is ended afterwards.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { positive } from "./command_line.ts";
import { type ColdStart, coldStarts } from "./rollouts/cold_starts.ts";
import { startCluster } from "../tests/support/cluster.ts";
import { type Trial, type TrialResult, trials } from "./rollouts/trials.ts";

async function repeat(trial: Trial, runs: number, say: (line: string) => void): Promise<TrialResult[]> {
  const cluster = await startCluster({ agents: 3, binaries });
  try {
    const sqwish = await cluster.connect();
    const results: TrialResult[] = [];
    for (let run = 1; run <= runs; run++) {
      const result = await trial(cluster, sqwish, { before: 4, after: 10 });
      results.push(result);
      say(`  ${run}: ${JSON.stringify(result)}`);
    }
    return results;
  } finally {
    await cluster.close();
  }
}

function rowOf(name: string, results: TrialResult[]): string {
  const sum = (of: (result: TrialResult) => number) => results.reduce((total, each) => total + of(each), 0);
  const worst = (of: (result: TrialResult) => number) =>
    `${Math.max(...results.map((result) => of(result) / result.requests * 100)).toFixed(2)} %`;
  const undone = results.flatMap(({ undoneMs }) => undoneMs === undefined ? [] : [undoneMs / 1000])
    .sort((left, right) => left - right);
  const times = undone.length === 0
    ? "–"
    : `${undone[Math.floor(undone.length / 2)].toFixed(1)} s (${undone[0].toFixed(1)} to ${
      undone.at(-1)!.toFixed(1)
    })`;
  const failed = (result: TrialResult) => result.failed;
  const touched = (result: TrialResult) => result.touched;
  const stalledMs = Math.max(...results.map((result) => result.stalledMs));
  const cells = [name, results.length, sum(({ requests }) => requests)];
  cells.push(sum(failed), worst(failed), sum(touched), worst(touched), times, `${stalledMs} ms`);
  return `| ${cells.join(" | ")} |`;
}

async function showColdStarts(count: number): Promise<void> {
  const cluster = await startCluster({ agents: 1, binaries });
  try {
    const starts = await coldStarts(await cluster.connect(), count);
    for (const start of starts) console.error(`  ${JSON.stringify(start)}`);
    const spread = (of: (start: ColdStart) => number) => {
      const times = starts.map((start) => Math.round(of(start))).sort((left, right) => left - right);
      return `${times[Math.floor(times.length / 2)]} ms (${times[0]} to ${times.at(-1)})`;
    };
    const waited = spread(({ waitedMs }) => waitedMs);
    const told = spread(({ coldStartMs }) => coldStartMs);
    console.log(
      `\n${count} cold starts: ${waited} for the client, ${told} of them until the replica was ready`,
    );
  } finally {
    await cluster.close();
  }
}

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10" },
    only: { type: "string", default: "" },
    binaries: { type: "string" },
  },
});
const runs = positive("--runs", values.runs);
const binaries = values.binaries && resolve(values.binaries);
const rows: string[] = [];
for (const [name, trial] of trials) {
  if (!name.includes(values.only)) continue;
  console.error(name);
  rows.push(rowOf(name, await repeat(trial, runs, (line) => console.error(line))));
}
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
if (rows.length > 0) {
  console.log(`| ${head.join(" | ")} |`);
  console.log(`|${" --- |".repeat(head.length)}`);
  for (const row of rows) console.log(row);
}
if ("cold starts".includes(values.only)) await showColdStarts(runs);

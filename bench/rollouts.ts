/**
 * Repeats each rollout trial and prints a table for docs/rollouts.md: `deno run -A bench/rollouts.ts [--runs 10]
 * [--only TEXT]`. A cluster of three agents on this machine for each trial; everything is ended afterwards.
 */
import { parseArgs } from "node:util";
import { positive } from "./command_line.ts";
import { startCluster } from "../tests/support/cluster.ts";
import { type Trial, type TrialResult, trials } from "./rollouts/trials.ts";

async function repeat(trial: Trial, runs: number, say: (line: string) => void): Promise<TrialResult[]> {
  const cluster = await startCluster({ agents: 3 });
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
  const cells = [name, results.length, sum(({ requests }) => requests)];
  return `| ${[...cells, sum(failed), worst(failed), sum(touched), worst(touched), times].join(" | ")} |`;
}

const { values } = parseArgs({
  options: { runs: { type: "string", default: "10" }, only: { type: "string", default: "" } },
});
const runs = positive("--runs", values.runs);
const rows = [];
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
];
console.log(`| ${[...head, "undone after"].join(" | ")} |`);
console.log(`|${" --- |".repeat(head.length + 1)}`);
for (const row of rows) console.log(row);

/**
 * Every scenario of the benchmark in its smallest form, so that none of them rots: whatever is compared with starts,
 * every reply is right, and the page can be written. Never how long anything took.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendantsOf, memoryOf } from "../../bench/measure.ts";
import { installed, peers } from "../../bench/peers/all.ts";
import { type Raw, render, writeReport } from "../../bench/report.ts";
import { runScenarios } from "../../bench/run.ts";
import type { Comparison } from "../../bench/scenarios/comparison.ts";
import { scenarios } from "../../bench/scenarios/all.ts";
import { eventually } from "../support/eventually.ts";
import { repositoryRoot } from "../support/source_files.ts";

/** What is not installed here is no failure, but must not go unnoticed. */
function tell(lines: readonly string[]): void {
  for (const line of lines) console.warn(`%c${line}`, "font-weight: bold; color: red");
}

async function runSmall(names: string[], cases = "", peers?: string[]): Promise<Raw> {
  const progress: string[] = [];
  return await runScenarios({
    ...{ scenarios: names, cases, peers },
    ...{ rounds: 1, seconds: 0.3, warmSeconds: 0.1, soakMinutes: 0.01, quick: true },
    interrupted: new AbortController().signal,
    say: (line) => progress.push(line),
    onRecord: () => Promise.resolve(),
  }).catch((thrown) => {
    throw new Error(`After:\n${progress.join("\n")}`, { cause: thrown });
  });
}

Deno.test("every system that is installed echoes, through its client or over HTTP", async () => {
  const { present, missing } = await installed(peers);
  tell(missing);
  const raw = await runSmall(["throughput"], "64 B, 64 outstanding");
  const { samples } = raw.throughput.result as Comparison;
  assert.deepEqual(samples.map(({ peer }) => peer), present.map(({ name }) => name));
  for (const { peer, measurement } of samples) {
    assert.ok(measurement.requests > 0, `${peer} must answer`);
    assert.ok(measurement.cpuUs.workers >= 0, `${peer} must have workers`);
  }
  assert.deepEqual(raw.throughput.missing, missing);
  const { markdown } = render(raw);
  for (const { title } of present) {
    assert.ok(markdown.includes(`| ${title} |`), `The page must show ${title}`);
  }
  for (const line of missing) assert.ok(markdown.includes(line), "The page must name what was not run");
});

Deno.test("requests over HTTP, and small ones beside large bodies, are answered", async () => {
  const over = await runSmall(["http"], "64 B");
  tell(over.http.missing);
  const { samples } = over.http.result as Comparison;
  for (const { peer, measurement } of samples) assert.ok(measurement.requests > 0, `${peer} must answer`);
  const beside = await runSmall(["interference"], "64 outstanding", ["sqwish"]);
  const { markdown } = render(beside);
  assert.match(markdown, /\| Sqwish, TLS, 64 outstanding \|/);
});

Deno.test("memory, telemetry, scale, runner start and soak find figures, and the page takes them", async () => {
  const names = ["memory", "telemetry", "scale", "runner", "soak"];
  const raw = await runSmall(names);
  const folder = await Deno.makeTempDir();
  try {
    // In two steps, as two runs would: the first one's sections must stay.
    const { memory, ...others } = raw;
    await writeReport(folder, { memory });
    await writeReport(folder, others);
    const page = join(folder, "benchmarks.md");
    const markdown = await Deno.readTextFile(page);
    for (const { name, title } of scenarios.filter((each) => names.includes(each.name))) {
      assert.ok(markdown.includes(`## ${title}\n`), `The page must have the section ${name}`);
    }
    assert.doesNotMatch(markdown, /NaN|undefined/);
    for (const [, picture] of markdown.matchAll(/\]\((benchmarks\/[^)]+\.svg)\)/g)) {
      const svg = await Deno.readTextFile(join(folder, picture));
      assert.match(svg, /^<svg .*<\/svg>\n$/s);
      assert.doesNotMatch(svg, /NaN|Infinity|undefined/, picture);
    }
    const config = join(repositoryRoot, "deno.json");
    const args = ["fmt", "--check", "--config", config, page, join(folder, "benchmarks", "raw.json")];
    const { success } = await new Deno.Command(Deno.execPath(), { args, stderr: "null" }).output();
    assert.ok(success, "What is committed must have the repository's layout");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a benchmark that is interrupted leaves no process behind", async () => {
  const args = ["run", "-A", "--no-check", join(repositoryRoot, "bench", "main.ts")];
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, "throughput", "--peers", "relay", "--seconds", "60"],
    ...{ stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  // The relay, two workers and the load generator.
  const started = await eventually("the processes of a measurement", () => {
    const pids = descendantsOf(child.pid);
    return pids.length >= 4 ? pids : null;
  }, 60_000);
  child.kill("SIGTERM");
  const { code } = await child.status;
  assert.equal(code, 1);
  // They have been told to end; it takes a moment.
  await eventually("nothing is left", () => started.every((pid) => memoryOf([pid]).rssMb === 0));
});

// A run of all tests ends with what it had to leave out.
for (const peer of peers) {
  const { missing } = await installed([peer]);
  if (missing.length > 0) Deno.test({ name: missing[0], ignore: true, fn: () => {} });
}

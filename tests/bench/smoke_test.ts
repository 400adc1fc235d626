/**
 * The benchmark in its small form: every system that is installed answers rightly under load, every scenario finds
 * something, and the page can be written. What is found is nobody's concern here.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { descendantsOf } from "../../bench/measure.ts";
import { lackingFor, peers } from "../../bench/peers/all.ts";
import { readResults, type Results, type ScenarioName } from "../../bench/results.ts";
import { scenarios } from "../../bench/scenarios/all.ts";
import { eventually } from "../support/eventually.ts";
import { repositoryRoot } from "../support/source_files.ts";

const scenarioNames = Object.keys(scenarios) as ScenarioName[];
const lacking = new Map<string, string[]>();
for (const peer of peers) lacking.set(peer.name, await lackingFor(peer));

interface Smoke {
  results: Results;
  page: string;
  /** File name → SVG. */
  pictures: Record<string, string>;
}

let smoke: Promise<Smoke> | undefined;

/** One run for all tests, made by the first that asks. */
function smokeRun(): Promise<Smoke> {
  return smoke ??= runSmoke();
}

async function runSmoke(): Promise<Smoke> {
  const out = await Deno.makeTempDir({ prefix: "sqwish-smoke-" });
  try {
    const args = [...scenarioNames, "--smoke", "--rounds", "1", "--seconds", "0.2", "--out", out];
    const { code, stderr } = await benchCommand(args, "piped").output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const folder = join(out, "benchmarks");
    const pictures: Smoke["pictures"] = {};
    for await (const { name } of Deno.readDir(folder)) {
      if (name.endsWith(".svg")) pictures[name] = await Deno.readTextFile(join(folder, name));
    }
    return {
      results: await readResults(folder),
      page: await Deno.readTextFile(join(out, "benchmarks.md")),
      pictures,
    };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

function benchCommand(args: string[], stderr: "piped" | "null"): Deno.Command {
  const program = join(repositoryRoot, "bench", "main.ts");
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program, ...args],
    ...{ stdin: "null", stdout: "null", stderr },
  });
}

for (const peer of peers) {
  const missing = lacking.get(peer.name)!;
  Deno.test({
    name: `${peer.title} answers every request with its own bytes` +
      (missing.length > 0 ? ` (needs ${missing.join(" and ")})` : ""),
    ignore: missing.length > 0,
    async fn() {
      const { results } = await smokeRun();
      const samples = [...results.throughput!.found, ...results.http!.found];
      const own = samples.filter((sample) => sample.peer === peer.name);
      assert.ok(own.length > 0, "It must have been measured");
      // A wrong reply ends the load generator, and so the whole run.
      for (const { measurement } of own) assert.ok(measurement.requests > 0);
    },
  });
}

Deno.test("every scenario leaves its part in the raw rounds, with its circumstances", async () => {
  const { results } = await smokeRun();
  assert.deepEqual(Object.keys(results), scenarioNames);
  for (const name of scenarioNames) {
    const { circumstances, found } = results[name]!;
    assert.equal(circumstances.rounds, 1);
    assert.equal(circumstances.versions.Deno, Deno.version.deno);
    assert.ok(found);
  }
});

Deno.test("nothing fails in the soak", async () => {
  const { load } = (await smokeRun()).results.soak!.found;
  assert.equal(load.failed, 0, load.lastError);
  assert.equal(load.answered, load.sent);
});

Deno.test("the page has every section and only pictures that are there", async () => {
  const { page, pictures } = await smokeRun();
  const headings = page.match(/^## .*$/gm) ?? [];
  // Goals and circumstances stand around one section for each scenario.
  assert.equal(headings.length, scenarioNames.length + 2, headings.join("\n"));
  const shown = [...page.matchAll(/\(benchmarks\/(.*\.svg)\)/g)].map(([, name]) => name);
  assert.deepEqual(shown.toSorted(), Object.keys(pictures).toSorted());
});

Deno.test("the page names what was not run", async () => {
  const { page } = await smokeRun();
  for (const peer of peers) {
    const named = page.includes(`Not run: ${peer.title}: `);
    assert.equal(named, lacking.get(peer.name)!.length > 0, peer.title);
  }
});

Deno.test("a benchmark that is interrupted leaves no process behind", async () => {
  const child = benchCommand(["throughput", "--peers", "relay", "--seconds", "60"], "null").spawn();
  // Relay, two workers and the load generator.
  const started = await eventually("the processes of a measurement", () => {
    const pids = descendantsOf(child.pid);
    assert.ok(pids.length >= 4, `${pids.length} processes`);
    return pids;
  }, 60_000);
  child.kill("SIGTERM");
  const { code } = await child.status;
  assert.equal(code, 1);
  const left = started.filter((pid) => descendantsOf(1).includes(pid));
  assert.deepEqual(left, []);
});

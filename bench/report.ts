/** `docs/benchmarks.md` with its pictures, out of everything measured. All of its words are here and in `sections.ts`. */
import { dirname, join } from "node:path";
import { goalsOf } from "./goals.ts";
import type { Circumstances, Results, ScenarioName } from "./results.ts";
import {
  comparisonSection,
  httpSection,
  idleSection,
  mixedSection,
  queuedSection,
  runnerSection,
  scalingSection,
  type Section,
  soakSection,
  table,
} from "./sections.ts";

const opening = `# Benchmarks

Written by \`task bench\`; the raw rounds are in [benchmarks/raw.json](benchmarks/raw.json).

Every system echoes the same bodies, client → broker → one of two workers and back, each process its own, all on
one machine over loopback. Each measurement starts its system anew and loads it with a fresh process; systems take
turns within each round, in reversed order in every other one. Figures are medians over the rounds. The load is
closed: each reply is followed by the next request. CPU time comes from \`/proc\`, in ticks of 10 ms.

What is compared:

- **NATS**: its server with TLS, a queue group of two, request and reply by its client for npm.
- **Moleculer**: two nodes and a caller's over plain TCP, no broker and no TLS; bodies as texts, which suits it best.
- **HAProxy**: TLS in front of two bare HTTP servers, loaded by wrk, which is written in C: its client costs less than
  any in JavaScript.
- **Bare relay**: frames passed on over TLS in the same runtime as Sqwish, without authentication, queue, deadlines or
  counting. The limit.
- **Sqwish**: TLS, authentication, admission, queue, adaptive capacity and telemetry; the function runs in a runner on
  each of two agents, so that a request takes two hops more than with the others.
`;

/** Writes the page and its pictures; resolves with the page's path. `out` is the documentation's folder. */
export async function writeReport(out: string, results: Results): Promise<string> {
  const sections = [
    results.throughput && comparisonSection(results.throughput.found),
    results.http && httpSection(results.http.found),
    results.mixed && mixedSection(results.mixed.found),
    results.idle && idleSection(results.idle.found),
    results.queued && queuedSection(results.queued.found),
    results.scaling && scalingSection(results.scaling.found),
    results.runner && runnerSection(results.runner.found),
    results.soak && soakSection(results.soak.found),
  ].filter((section): section is Section => section !== undefined);
  const page = [opening, goals(results), ...sections.map(({ markdown }) => markdown), circumstances(results)];
  await Deno.mkdir(join(out, "benchmarks"), { recursive: true });
  for (const { pictures } of sections) {
    for (const [name, svg] of Object.entries(pictures)) {
      await Deno.writeTextFile(join(out, "benchmarks", name), svg);
    }
  }
  const file = join(out, "benchmarks.md");
  await Deno.writeTextFile(file, page.join("\n"));
  const written = [file, join(out, "benchmarks", "raw.json")];
  // As the repository's own layout wants it, wherever the page is written to.
  const config = join(dirname(import.meta.dirname!), "deno.json");
  const formatted = await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--config", config, ...written],
  }).output();
  if (!formatted.success) throw new Error(new TextDecoder().decode(formatted.stderr));
  return file;
}

function goals(results: Results): string {
  const rows = goalsOf(results).map(({ work, goal, found, reached }) => [
    ...[work, goal, found ?? "not measured"],
    reached === undefined ? "" : reached ? "reached" : "**not reached**",
  ]);
  return `## Goals

Ratios within one run: Sqwish's figure over the other's.

${table(["work", "goal", "found", ""], rows)}`;
}

function circumstances(results: Results): string {
  const rows = Object.entries(results).map(([name, part]) => {
    const { date, cpu, cores, memoryGb, sqwish, rounds, seconds, concurrency } = part.circumstances;
    const slots = concurrency === undefined ? "adaptive" : String(concurrency);
    const machine = `${cores} cores of ${cpu}, ${memoryGb} GiB`;
    return [name, date, machine, sqwish, slots, `${rounds} × ${seconds} s`];
  });
  const parts = Object.entries(results) as [ScenarioName, { circumstances: Circumstances }][];
  const versions = Object.assign({}, ...parts.map(([, part]) => part.circumstances.versions));
  const missing = [...new Set(parts.flatMap(([, part]) => part.circumstances.notRun))];
  return `## Circumstances

${table(["scenario", "date", "machine", "Sqwish", "slots per replica", "rounds × window"], rows)}
Versions: ${Object.entries(versions).map(([name, number]) => `${name} ${number}`).join(", ")}.
${missing.map((line) => `\nNot run: ${line}.\n`).join("")}`;
}

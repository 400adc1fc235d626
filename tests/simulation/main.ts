/**
 * `deno task sim`: runs seeds on all cores and tells which fail, or replays one seed with its trace.
 *   deno task sim                    the seeds 1 to 200
 *   deno task sim --seeds 1..2000    these seeds
 *   deno task sim 42                 seed 42, with everything that happens in it
 *   deno task sim 42 --agents 1000 --clients 10000
 */
import { parseArgs } from "node:util";
import { simulate } from "./run.ts";
import type { Rollouts, RunOptions, RunResult } from "./world.ts";

/** Lines of the trace that a failure is told with. */
const tailLines = 40;
/** Failures after which nothing more is to be learned. */
const failuresMax = 20;
const seedsDefault = "1..200";

/** What one process tells another of a seed. */
interface Told {
  seed: number;
  events: number;
  checker?: string;
  message?: string;
  rollouts?: Rollouts;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: seedsDefault },
    /** Of a process that this one has started: every how many seeds it runs one. */
    step: { type: "string" },
    /** Ends with the first that fails. */
    first: { type: "boolean" },
    /** Only what this one finds counts. */
    checker: { type: "string" },
    agents: { type: "string" },
    clients: { type: "string" },
  },
});
const size: RunOptions = {
  ...(values.checker === undefined ? {} : { checker: values.checker }),
  ...(values.agents === undefined ? {} : { agents: Number(values.agents) }),
  ...(values.clients === undefined ? {} : { clients: Number(values.clients) }),
};

if (positionals.length > 0) Deno.exit(await replay(Number(positionals[0])));
const [from, to] = values.seeds.split("..").map(Number);
if (!Number.isInteger(from) || !Number.isInteger(to)) {
  console.error(`--seeds takes the first and the last, such as ${seedsDefault}; it is ${values.seeds}`);
  Deno.exit(2);
}
if (values.step === undefined) Deno.exit(await runAll(from, to));
await runShare(from, to, Number(values.step));

/** One seed with its whole trace on standard output; what it cost on standard error. */
async function replay(seed: number): Promise<number> {
  const startedMs = performance.now();
  const result = await simulate(seed, { ...size, trace: values.agents === undefined });
  for (const line of result.lines) console.log(line);
  const { plan, events, operations, hash, failure, outcomes, rollouts } = result;
  console.error(
    `seed ${seed}: ${plan.agents} agents, ${plan.clients} clients, ${operations} requests, ${events} events, ` +
      `trace ${hash}, ${((performance.now() - startedMs) / 1000).toFixed(1)} s, ` +
      `${Math.round(Deno.memoryUsage().rss / 1e6)} MB`,
  );
  console.error(JSON.stringify({ ...Object.fromEntries(outcomes), rollouts }));
  console.error(failure ? `FAILED, ${failure.checker}: ${failure.message}` : "ok");
  return failure ? 1 : 0;
}

/** Every `step`th seed, a line of JSON for each. */
async function runShare(from: number, to: number, step: number): Promise<void> {
  for (let seed = from; seed <= to; seed += step) {
    const { events, failure, rollouts } = await simulate(seed, size);
    const told: Told = { seed, events, rollouts, ...failure };
    console.log(JSON.stringify(told));
    if (failure && values.first) return;
  }
}

/** All seeds, dealt out to as many processes as there are cores. */
async function runAll(from: number, to: number): Promise<number> {
  const startedMs = performance.now();
  const count = Math.min(navigator.hardwareConcurrency, to - from + 1);
  const failed: Told[] = [];
  let done = 0;
  const rollouts = { done: 0, failed: 0, judged: 0, seeds: 0 };
  const children = Array.from({ length: count }, (_, index) => startShare(from + index, to, count));
  await Promise.all(children.map(async (child) => {
    for await (const told of toldBy(child)) {
      if (++done % 100 === 0) console.error(`${done} of ${to - from + 1} seeds, ${failed.length} failed`);
      rollouts.done += told.rollouts!.done;
      rollouts.failed += told.rollouts!.failed;
      rollouts.judged += told.rollouts!.judged;
      if (told.rollouts!.judged > 0) rollouts.seeds++;
      if (told.checker === undefined) continue;
      failed.push(told);
      console.error(`seed ${told.seed}: ${told.checker}: ${told.message}`);
      if (failed.length >= failuresMax) { for (const each of children) end(each); }
    }
    const { success } = await child.status;
    if (!success && failed.length < failuresMax) {
      failed.push({ seed: 0, events: 0, checker: "process", message: "a process ended by itself" });
    }
  }));
  failed.sort((left, right) => left.seed - right.seed);
  if (failed.length > 0 && failed[0].seed > 0) await explain(failed[0].seed);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.error(
    `rollouts: ${rollouts.done} done, ${rollouts.failed} failed, ${rollouts.judged} of them by their answers, ` +
      `in ${rollouts.seeds} seeds`,
  );
  const verdict = failed.length === 0 ? "ok" : "FAILED";
  console.log(`${verdict} | ${done - failed.length} passed | ${failed.length} failed (${seconds}s)`);
  return failed.length === 0 ? 0 : 1;
}

async function explain(seed: number): Promise<void> {
  const { lines, failure }: RunResult = await simulate(seed, { ...size, trace: true });
  console.log(`\nThe end of seed ${seed}, which ${failure?.checker ?? "nothing"} found fault with:`);
  for (const line of lines.slice(-tailLines)) console.log(line);
  console.log(`${failure?.checker}: ${failure?.message}\nAll of it: deno task sim ${seed}\n`);
}

function startShare(from: number, to: number, step: number): Deno.ChildProcess {
  const args = [
    "run",
    "-A",
    "--no-check",
    import.meta.filename!,
    "--seeds",
    `${from}..${to}`,
    "--step",
    `${step}`,
  ];
  for (const name of ["agents", "clients"] as const) if (values[name]) args.push(`--${name}`, values[name]);
  return new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
}

async function* toldBy(child: Deno.ChildProcess): AsyncGenerator<Told> {
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith("{")) yield JSON.parse(line);
  }
}

function end(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has just ended by itself.
  }
}

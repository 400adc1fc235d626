/**
 * `deno task sim`: runs seeds on all cores and tells which fail, or replays one seed with its trace.
 *   deno task sim                    the seeds 1 to 200
 *   deno task sim --seeds 1..2000    these seeds
 *   deno task sim --first --checker "run once"    what this checker finds, up to the first
 *   deno task sim 42                 seed 42, with everything that happens in it
 *   deno task sim 42 --agents 1000 --clients 10000
 */
import { parseArgs } from "node:util";
import { checkerNames } from "./checkers/all.ts";
import { simulate } from "./run.ts";
import type { Rollouts, RunOptions, RunResult } from "./world.ts";

/** Lines of the trace that a failure is told with. */
const tailLines = 40;
const seedsDefault = "1..200";
/**
 * All cores run seeds already, so that what V8 does on other threads is taken from them: collecting garbage there, and
 * the last tier of its compiler, which saves no time here, where hardly any code is hot.
 */
const v8Flags = "--single-threaded-gc,--no-turbofan";

/** What one process tells another of a seed. */
interface Told {
  seed: number;
  events: number;
  checker?: string;
  message?: string;
  rollouts?: Rollouts;
}

const { values, positionals } = readArguments();
/** Failures after which nothing more is to be learned. */
const failuresMax = values.first ? 1 : 20;
const size: RunOptions = {
  ...(values.checker === undefined ? {} : { checker: checkerNamed(values.checker) }),
  ...(values.agents === undefined ? {} : { agents: wholeNumber("--agents", values.agents, 1) }),
  ...(values.clients === undefined ? {} : { clients: wholeNumber("--clients", values.clients, 1) }),
};

if (positionals.length > 0) Deno.exit(await replay(seedAsked()));
const [from, to] = rangeAsked(values.seeds ?? seedsDefault);
if (values.step === undefined) Deno.exit(await runAll(from, to));
await runShare(from, to, wholeNumber("--step", values.step, 1));

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        seeds: { type: "string" },
        /** Of a process that this one has started: every how many seeds it runs one. */
        step: { type: "string" },
        /** Ends with the first failure that is found. */
        first: { type: "boolean" },
        /** Only what this one finds counts. */
        checker: { type: "string" },
        agents: { type: "string" },
        clients: { type: "string" },
      },
    });
  } catch (thrown) {
    return refuse(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

function refuse(message: string): never {
  console.error(message);
  Deno.exit(2);
}

function wholeNumber(what: string, text: string, least: number): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= Number.MAX_SAFE_INTEGER) return number;
  return refuse(`${what} must be a whole number from ${least} on; it is ${JSON.stringify(text)}`);
}

function seedAsked(): number {
  if (positionals.length > 1 || values.seeds !== undefined || values.first) {
    refuse("One seed is replayed by itself; several are run with --seeds FIRST..LAST");
  }
  return wholeNumber("The seed", positionals[0], 0);
}

function rangeAsked(text: string): [number, number] {
  const [, first, last] = /^(\d+)\.\.(\d+)$/.exec(text) ?? [];
  if (first === undefined || Number(first) > Number(last)) {
    refuse(`--seeds takes the first and the last, such as ${seedsDefault}; it is ${JSON.stringify(text)}`);
  }
  return [Number(first), Number(last)];
}

function checkerNamed(name: string): string {
  const names = checkerNames();
  return names.includes(name)
    ? name
    : refuse(`--checker must be one of ${names.join(", ")}; it is ${JSON.stringify(name)}`);
}

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
  let [done, died] = [0, 0];
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
      died++;
      console.error("a process ended by itself: what it had yet to run was not run");
    }
  }));
  failed.sort((left, right) => left.seed - right.seed);
  if (failed.length > 0) await explain(failed[0].seed);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.error(
    `rollouts: ${rollouts.done} done, ${rollouts.failed} failed, ${rollouts.judged} of them by their answers, ` +
      `in ${rollouts.seeds} seeds`,
  );
  const bad = failed.length + died;
  console.log(
    `${bad === 0 ? "ok" : "FAILED"} | ${done - failed.length} passed | ${bad} failed (${seconds}s)`,
  );
  return bad === 0 ? 0 : 1;
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
    `--v8-flags=${v8Flags}`,
    import.meta.filename!,
    "--seeds",
    `${from}..${to}`,
    "--step",
    `${step}`,
  ];
  if (values.first) args.push("--first");
  for (const name of ["agents", "clients", "checker"] as const) {
    if (values[name] !== undefined) args.push(`--${name}`, values[name]);
  }
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

/**
 * `task demo`: a whole cluster on this machine, at work. Starts one manager and three agents, deploys
 * examples/cluster.jsonc, sends real work through the client library and the command line, checks every reply, shows
 * what ran where, and stays until Ctrl-C; with `--exit` it ends after the work, with 1 unless everything was right.
 */
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { createProgress, type Progress } from "../lib/cli/progress.ts";
import type { Look } from "../lib/cli/tables.ts";
import { createTerminal, type Terminal } from "../lib/cli/terminal.ts";
import { createSystemClock } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import { DemoCluster } from "./demo/cluster.ts";
import { type CommandOutcome, runCommands } from "./demo/command_line_jobs.ts";
import { type Programs, programsFromFolder, programsFromSource } from "./demo/programs.ts";
import { agentTable, workTable } from "./demo/show.ts";
import { demoJobs, type Outcome, runJobs } from "./demo/work.ts";

const usage = `Usage: demo [--exit] [--binaries DIR]

Starts a manager and three agents on this machine, deploys the examples and puts them to work.

  --exit          end after the work: with 0 when every reply was right, else with 1
  --binaries DIR  use the compiled programs in DIR instead of the source
  --help          print this help`;

/** Requests under way at once. More than there are slots, so that the queue is used too. */
const atOnce = 24;

const agents = [
  { name: "attic-1", labels: { zone: "attic" } },
  { name: "attic-2", labels: { zone: "attic" } },
  { name: "shed-1", labels: { zone: "shed" } },
];

interface DemoOptions {
  programs: Programs;
  exit: boolean;
  terminal: Terminal;
  /** Aborts when the user wants it to end. */
  interrupted: AbortSignal;
}

/** Runs the demo in a temporary folder, and leaves nothing behind. Returns the exit code. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { terminal, interrupted } = options;
  const folder = await Deno.makeTempDir({ prefix: "sqwish-demo-" });
  let cluster: DemoCluster | undefined;
  try {
    cluster = await startCluster(options, folder);
    const problems = await doWork(cluster, options, folder);
    for (const problem of problems) terminal.writeError(`✗ ${problem}\n`);
    if (!options.exit) {
      showDashboard(cluster, terminal);
      await staysUp(cluster, interrupted);
    }
    return problems.length === 0 ? 0 : 1;
  } catch (thrown) {
    if (interrupted.aborted) return 130;
    terminal.writeError(`demo: ${describeError(thrown)}\n`);
    return 1;
  } finally {
    await cluster?.close();
    await Deno.remove(folder, { recursive: true });
  }
}

async function startCluster(options: DemoOptions, folder: string): Promise<DemoCluster> {
  const { terminal, interrupted } = options;
  const startedMs = performance.now();
  const seconds = () => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  const progress = createProgress(terminal, createSystemClock());
  try {
    progress.update(`starting one manager and ${agents.length} agents`);
    const cluster = await DemoCluster.start({
      programs: options.programs,
      folder,
      configuration: join(import.meta.dirname!, "cluster.jsonc"),
      agents,
      interrupted,
    });
    try {
      progress.update("deploying examples/cluster.jsonc");
      const overview = await cluster.ready();
      const sets = overview.replicaSets.map(({ name, ready, wanted }) => `${name} ${ready}/${wanted}`);
      progress.done(
        `${overview.agents.length} agents joined, replicas ready after ${seconds()}: ${sets.join("  ")}`,
      );
      return cluster;
    } catch (thrown) {
      await cluster.close();
      throw thrown;
    }
  } finally {
    progress.clear();
  }
}

/** Sends everything and prints what came of it. Returns what was wrong, in words. */
async function doWork(cluster: DemoCluster, options: DemoOptions, folder: string): Promise<string[]> {
  const { terminal, interrupted } = options;
  const progress = createProgress(terminal, createSystemClock());
  try {
    const outcomes = await sendJobs(cluster, progress, interrupted);
    const commands = await runCommands(
      options.programs.client,
      cluster.manager.clientToken,
      folder,
      ({ command }) => progress.update(command),
    );
    interrupted.throwIfAborted();
    cluster.assertRunning();
    const problems = problemsOf(outcomes, commands);
    const total = outcomes.length + commands.length;
    if (problems.length === 0) progress.done(`all ${total} replies were right`);
    else progress.failed(`${problems.length} of ${total} replies were wrong`);
    const look: Look = { width: terminal.width(), colours: terminal.colours };
    const overview = await cluster.overview();
    terminal.writeOut(`\n${workTable(outcomes, overview, look)}\n${agentTable(overview, look)}\n`);
    terminal.writeOut(commands.map(({ command, problem }) => `${problem ? "✗" : "✓"} ${command}\n`).join(""));
    return problems;
  } finally {
    progress.clear();
  }
}

async function sendJobs(
  cluster: DemoCluster,
  progress: Progress,
  interrupted: AbortSignal,
): Promise<Outcome[]> {
  progress.update("drawing pictures and opening the book");
  const jobs = await demoJobs();
  let done = 0;
  return await runJobs(cluster.sqwish, jobs, {
    atOnce,
    signal: interrupted,
    onOutcome: ({ endpoint }) => {
      done++;
      // A line for each would flood a log that is not a terminal.
      const text = Deno.stderr.isTerminal() ? `${done}/${jobs.length} ${endpoint}` : "working";
      progress.update(text, done / jobs.length);
    },
  });
}

function problemsOf(outcomes: Outcome[], commands: CommandOutcome[]): string[] {
  return [
    ...outcomes.filter(({ problem }) => problem).map(({ endpoint, problem }) => `${endpoint}: ${problem}`),
    ...commands.filter(({ problem }) => problem).map(({ command, problem }) => `${command}: ${problem}`),
  ];
}

function showDashboard(cluster: DemoCluster, terminal: Terminal): void {
  const { url, adminPassword } = cluster.manager;
  terminal.writeOut(
    `\nDashboard  ${url}\nSign in    admin  ${adminPassword}\n\n` +
      "The browser will warn of the certificate: it is the cluster's own.\nCtrl-C ends everything.\n",
  );
}

/** Until the user has seen enough, or a program ends that should not. */
async function staysUp(cluster: DemoCluster, interrupted: AbortSignal): Promise<void> {
  while (!interrupted.aborted) {
    cluster.assertRunning();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 500);
      interrupted.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });
  }
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      exit: { type: "boolean" },
      binaries: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const root = join(import.meta.dirname!, "..");
  const programs = values.binaries ? await programsFromFolder(values.binaries) : programsFromSource(root);
  const terminal = createTerminal();
  const end = new AbortController();
  const undo = terminal.onInterrupt(() => end.abort());
  try {
    return await runDemo({ programs, exit: values.exit ?? false, terminal, interrupted: end.signal });
  } finally {
    undo();
  }
}

if (import.meta.main) {
  process.exitCode = await main(Deno.args).catch((thrown) => {
    console.error(`demo: ${describeError(thrown)}`);
    return 2;
  });
}

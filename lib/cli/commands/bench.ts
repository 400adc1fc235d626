/** `client bench`: load on one endpoint, and how long its replies took. */
import { Option } from "commander";
import { limits } from "../../limits.ts";
import { addExamples, type Command, durationMs, wholeNumber } from "../arguments.ts";
import { parseInput } from "../input.ts";
import { barBoundsMs, Load } from "../load.ts";
import { createProgress } from "../progress.ts";
import { formatMs, formatRate } from "../tables.ts";
import { type CommandContext, formatJson, withConnection } from "./context.ts";
import { counted } from "../../words.ts";

const progressMs = 250;
const barCellsMax = 40;
const percentiles = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99, "p99.9": 0.999 };

interface Options {
  concurrency: number;
  rate?: number;
  duration: number;
  timeout?: number;
  json?: boolean;
}

export function addBench(program: Command, context: CommandContext): void {
  const command = program.command("bench")
    .description("load an endpoint and print how long replies took")
    .argument("<endpoint>", "replicaSet/function")
    .argument("[input]", "as for invoke")
    .option(
      "-c, --concurrency <count>",
      "requests at once, at most",
      wholeNumber({ min: 1, max: 10_000 }),
      16,
    )
    .option(
      "-r, --rate <per-second>",
      "starts per second; as fast as it goes when left out",
      wholeNumber({ min: 1, max: 1_000_000 }),
    )
    .addOption(
      new Option("-d, --duration <duration>", "for how long")
        .argParser(durationMs({ min: 100, max: 24 * 3600_000 })).default(10_000, "10s"),
    )
    .option("-t, --timeout <duration>", "of each request", durationMs({ max: limits.timeoutMsMax }))
    .option("--json", "JSON for machines")
    .action((endpoint: string, text: string | undefined, options: Options) =>
      bench(context, endpoint, text, options)
    );
  addExamples(command, [
    `client bench maths/factors '{"n": 360}'`,
    "client bench text/statistics @book.txt --concurrency 64 --duration 30s",
    "client bench images/thumbnail @photo.jpg --rate 50 --json",
  ]);
}

async function bench(
  context: CommandContext,
  endpoint: string,
  text: string | undefined,
  options: Options,
): Promise<void> {
  const { terminal, clock } = context;
  const input = await parseInput(text, () => terminal.readInput());
  await withConnection(context, async (sqwish, signal) => {
    const load = new Load({
      clock,
      concurrency: options.concurrency,
      rate: options.rate,
      durationMs: options.duration,
      signal,
      send: () => sqwish.invoke(endpoint, input, { timeoutMs: options.timeout, signal }),
    });
    const progress = createProgress(terminal, clock);
    const startedMs = clock.monotonicMs();
    // Without a terminal nobody looks at it, and a log would fill with it.
    const stop = clock.every(progressMs, () => {
      if (!terminal.isErrorTerminal) return;
      const elapsedMs = clock.monotonicMs() - startedMs;
      progress.update(`${endpoint}  ${oneLine(load, elapsedMs)}`, elapsedMs / options.duration);
    });
    try {
      await load.run();
    } finally {
      stop();
      progress.clear();
    }
    // Nothing to measure: the reason is the result. Ctrl-C still prints what there is.
    if (load.ok === 0 && load.lastError !== undefined) throw load.lastError;
    terminal.writeOut(options.json ? formatJson(summary(endpoint, load), terminal) : report(endpoint, load));
  });
}

function oneLine(load: Load, elapsedMs: number): string {
  const rate = formatRate(load.ok / Math.max(elapsedMs, 1) * 1000);
  return `${rate}/s  p99 ${load.ok === 0 ? "-" : formatMs(load.quantileMs(0.99))}  ${
    counted(load.failed, "error")
  }`;
}

/** What `--json` prints; times in ms. */
export function summary(endpoint: string, load: Load): Record<string, unknown> {
  const latencyMs = Object.fromEntries(
    Object.entries(percentiles).map(([name, q]) => [name, round(load.quantileMs(q))]),
  );
  return {
    endpoint,
    elapsedMs: Math.round(load.elapsedMs),
    requests: load.ok + load.failed,
    requestsPerSecond: round(load.ok / Math.max(load.elapsedMs, 1) * 1000),
    errors: Object.fromEntries(load.errors),
    unsent: load.unsent,
    latencyMs: { mean: round(load.sumMs / Math.max(load.ok, 1)), ...latencyMs, max: round(load.maxMs) },
  };
}

/** What people read: totals, percentiles, a bar for each range of latencies, errors by code. */
export function report(endpoint: string, load: Load): string {
  const perSecond = formatRate(load.ok / Math.max(load.elapsedMs, 1) * 1000);
  const lines = [
    `${endpoint}: ${counted(load.ok, "reply", "replies")} and ${counted(load.failed, "error")} in ${
      formatMs(load.elapsedMs)
    }, ${perSecond}/s`,
    "",
    ...Object.entries(percentiles).map(([name, q]) => `  ${name.padEnd(6)} ${formatMs(load.quantileMs(q))}`),
    `  ${"max".padEnd(6)} ${formatMs(load.maxMs)}`,
    "",
    ...bars(load),
  ];
  if (load.failed > 0) {
    lines.push("", "Errors:");
    for (const [code, count] of load.errors) lines.push(`  ${code}: ${count}`);
  }
  if (load.unsent > 0) {
    lines.push(
      "",
      `${
        counted(load.unsent, "request")
      } could not be started at that rate; raise --concurrency or lower --rate`,
    );
  }
  return lines.join("\n") + "\n";
}

function bars(load: Load): string[] {
  const first = load.bars.findIndex((count) => count > 0);
  const last = load.bars.findLastIndex((count) => count > 0);
  if (first < 0) return [];
  const most = Math.max(...load.bars);
  return load.bars.slice(first, last + 1).map((count, index) => {
    const bound = barBoundsMs[first + index];
    const range = bound === undefined ? "more" : `≤ ${formatMs(bound)}`;
    // At least a sliver for what happened at all.
    const cells = count === 0 ? 0 : Math.max(1, Math.round(count / most * barCellsMax));
    return `  ${range.padStart(9)}  ${"█".repeat(cells)} ${count}`;
  });
}

function round(value: number): number {
  return Number(value.toFixed(3));
}

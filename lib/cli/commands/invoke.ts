/** `client invoke`: one request, its reply on standard output, where the time went on standard error. */
import type { InvokeOptions, Sqwish, Timing } from "../../client/sqwish.ts";
import { SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { isRequestId } from "../../protocol/frame.ts";
import { addExamples, type Command, durationMs, keyValue } from "../arguments.ts";
import { parseInput } from "../input.ts";
import { formatMs, harmless } from "../tables.ts";
import type { Terminal } from "../terminal.ts";
import { type CommandContext, formatJson, formatJsonLine, withConnection } from "./context.ts";
import { counted } from "../../words.ts";

interface Options {
  timeout?: number;
  raw?: boolean;
  stream?: boolean;
  header?: Record<string, string>;
  idempotent?: boolean;
  verbose?: boolean;
}

export function addInvoke(program: Command, context: CommandContext): void {
  const command = program.command("invoke")
    .description("send a request and print the reply")
    .argument("<endpoint>", "replicaSet/function")
    .argument(
      "[input]",
      "JSON; - for JSON from standard input; @file for a file's bytes; @- for bytes from standard input",
    )
    .option("-t, --timeout <duration>", "whole budget, e.g. 5s", durationMs({ max: limits.timeoutMsMax }))
    .option("--raw", "write bytes as they are, and a text without its quotes")
    .option("--stream", "print each part of the reply as it arrives")
    .option("-H, --header <key=value>", "header for the module; may be repeated", keyValue)
    .option("--idempotent", "may run twice when an agent or the manager is lost")
    .option("-v, --verbose", "print where the time went to standard error")
    .action((endpoint: string, text: string | undefined, options: Options) =>
      invoke(context, endpoint, text, options)
    );
  addExamples(command, [
    `client invoke maths/factors '{"n": 360}'`,
    "client invoke images/thumbnail @photo.jpg > small.png",
    "jq .order order.json | client invoke shop/price - --timeout 5s",
    `client invoke text/countdown '{"from": 3}' --stream`,
  ]);
}

async function invoke(
  context: CommandContext,
  endpoint: string,
  text: string | undefined,
  options: Options,
): Promise<void> {
  const { terminal } = context;
  const input = await parseInput(text, () => terminal.readInput());
  await withConnection(context, async (sqwish, signal) => {
    const invokeOptions: InvokeOptions = {
      timeoutMs: options.timeout,
      idempotent: options.idempotent,
      headers: options.header,
      signal,
    };
    const told = options.verbose ? tellFailure(context) : undefined;
    if (options.stream) {
      return await printParts(context, sqwish, endpoint, input, invokeOptions, options).catch(told);
    }
    const result = await sqwish.invokeDetailed(endpoint, input, invokeOptions).catch(told);
    const { value, timing, requestId } = result;
    if (options.verbose) terminal.writeError(`${describeTiming(timing)} · request ${requestId}\n`);
    printValue(terminal, value, options.raw ?? false);
  });
}

/** Prints how long it took to fail, and of which request, before the failure itself. */
function tellFailure({ terminal, clock }: CommandContext): (thrown: unknown) => never {
  const startedMs = clock.monotonicMs();
  return (thrown) => {
    const requestId = requestIdOf(thrown);
    const request = requestId === undefined ? "" : ` · request ${requestId}`;
    terminal.writeError(`failed after ${formatMs(clock.monotonicMs() - startedMs)}${request}\n`);
    throw thrown;
  };
}

/** Of a failure of a request that the cluster let in. */
export function requestIdOf(thrown: unknown): string | undefined {
  const id = thrown instanceof SqwishError ? thrown.details.requestId : undefined;
  return isRequestId(id) ? id : undefined;
}

async function printParts(
  context: CommandContext,
  sqwish: Sqwish,
  endpoint: string,
  input: unknown,
  invokeOptions: InvokeOptions,
  options: Options,
): Promise<void> {
  const { terminal, clock } = context;
  const startedMs = clock.monotonicMs();
  let firstMs: number | undefined;
  let count = 0;
  for await (const part of sqwish.stream(endpoint, input, invokeOptions)) {
    firstMs ??= clock.monotonicMs() - startedMs;
    count++;
    if (part instanceof Uint8Array || (options.raw && typeof part === "string")) {
      printValue(terminal, part, options.raw ?? false);
    } else {
      terminal.writeOut(formatJsonLine(part, terminal));
    }
  }
  if (!options.verbose) return;
  const total = formatMs(clock.monotonicMs() - startedMs);
  terminal.writeError(`${counted(count, "part")} · first after ${formatMs(firstMs ?? 0)} · total ${total}\n`);
}

function printValue(terminal: Terminal, value: unknown, raw: boolean): void {
  if (value instanceof Uint8Array) {
    if (terminal.isOutTerminal && !raw) {
      throw new SqwishError(
        "invalid_request",
        `The reply is ${value.length} bytes, which a terminal can't show; redirect it to a file, or add --raw`,
        { details: { mayHaveRun: "yes" } },
      );
    }
    terminal.writeOutBytes(value);
  } else if (raw && typeof value === "string") {
    // A pipe gets every byte; a terminal none that would move it.
    const text = terminal.isOutTerminal ? harmless(value) : value;
    terminal.writeOut(text.endsWith("\n") ? text : `${text}\n`);
  } else {
    terminal.writeOut(formatJson(value, terminal));
  }
}

/** "queue 0.5 ms · run 2 ms · network 0.4 ms · total 2.9 ms". */
export function describeTiming(timing: Timing): string {
  const { queueMs, runMs, networkMs, totalMs } = timing;
  return `queue ${formatMs(queueMs)} · run ${formatMs(runMs)} · network ${formatMs(networkMs)} · total ${
    formatMs(totalMs)
  }`;
}

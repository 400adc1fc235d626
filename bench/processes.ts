/**
 * The processes of a measurement: modules of this folder and other programs, started in the context's group, which
 * ends them. A process tells that it is up, or its result, by a line it prints.
 */
import { join } from "node:path";
import type { Program } from "../examples/demo/programs.ts";
import type { PeerContext } from "./peers/peer.ts";

const readyMsMax = 20_000;

/** Starts a module of `bench/` with its argument as JSON; resolves once it has printed "ready". */
export async function startModule(
  context: PeerContext,
  name: string,
  module: string,
  argument: unknown,
  msMax = readyMsMax,
): Promise<Program> {
  const program = spawnModule(context, name, module, argument);
  await untilSaid(context, program, "ready", msMax);
  return program;
}

/** Runs a module of `bench/` to its end; resolves with what it has given to `printResult`. */
export async function runModule<T>(
  context: PeerContext,
  name: string,
  module: string,
  argument: unknown,
): Promise<T> {
  return await resultOf(context, spawnModule(context, name, module, argument));
}

/** Runs another program that prints a result. */
export async function runForResult<T>(context: PeerContext, command: string, args: string[]): Promise<T> {
  return await resultOf(context, context.group.start(command, [command], args));
}

export function printResult(result: unknown): void {
  console.log(`RESULT ${JSON.stringify(result)}`);
}

export function spawnModule(context: PeerContext, name: string, module: string, argument: unknown): Program {
  const command = [Deno.execPath(), "run", "--quiet", "-A", join(import.meta.dirname!, module)];
  return context.group.start(name, command, [JSON.stringify(argument)]);
}

/** Waits for its end; throws with its last lines when that is none to be glad of. */
export async function resultOf<T>(context: PeerContext, program: Program): Promise<T> {
  await unlessAborted(context.interrupted, program.ended);
  const found = /^RESULT (.*)$/m.exec(program.tail());
  if (program.exitCode() === 0 && found) return JSON.parse(found[1]);
  throw new Error(`${program.name} ended with code ${program.exitCode()}:\n${program.tail()}`);
}

/** Rejects with the signal's reason as soon as it is aborted. */
export async function unlessAborted<T>(signal: AbortSignal, done: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([done, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves once the program has written `words`. Throws with what it wrote instead. */
export async function untilSaid(
  context: PeerContext,
  program: Program,
  words: string,
  msMax = readyMsMax,
): Promise<void> {
  await until(context, program, `say "${words}"`, () => program.tail().includes(words), msMax);
}

/** Resolves once the program accepts connections. */
export async function untilListening(context: PeerContext, program: Program, port: number): Promise<void> {
  await until(context, program, `listen on port ${port}`, async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
    connection?.close();
    return connection !== undefined;
  });
}

async function until(
  context: PeerContext,
  program: Program,
  what: string,
  probe: () => boolean | Promise<boolean>,
  msMax = readyMsMax,
): Promise<void> {
  const endMs = performance.now() + msMax;
  while (!await probe()) {
    context.interrupted.throwIfAborted();
    if (program.exitCode() !== null || performance.now() > endMs) {
      throw new Error(
        `${program.name} must ${what} within ${msMax / 1000} s, it said:\n${program.tail()}`,
      );
    }
    await pause(10);
  }
}

/** A port nobody listens on. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** What every command is given, and the one way in which commands hold a connection: closed whatever happens. */
import type { Clock } from "../../clock.ts";
import { SqwishError } from "../../errors.ts";
import type { ConnectToOptions } from "../../client/connect.ts";
import type { ConnectOptions, Environment, Target } from "../../client/options.ts";
import type { Sqwish } from "../../client/sqwish.ts";
import type { Terminal } from "../terminal.ts";
import { type Look, printable } from "../tables.ts";

export interface CommandContext {
  terminal: Terminal;
  clock: Clock;
  environment: Environment;
  connect(options?: ConnectOptions): Promise<Sqwish>;
  connectTo(target: Target, options: ConnectToOptions): Promise<Sqwish>;
  discoverFingerprint(address: string): Promise<string>;
}

/**
 * Connects, runs `action` and closes. `signal` aborts on Ctrl-C: what is running is then cancelled in the cluster
 * too, and the command ends with `cancelled`.
 */
export async function withConnection<T>(
  context: CommandContext,
  action: (sqwish: Sqwish, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const stopListening = context.terminal.onInterrupt(() => controller.abort());
  try {
    // The command line is waited for by a person: one round over the addresses, then the error.
    const sqwish = await unlessAborted(context.connect({ connectTimeoutMs: 0 }), controller.signal);
    try {
      return await action(sqwish, controller.signal);
    } finally {
      await sqwish.close();
    }
  } finally {
    stopListening();
  }
}

/** Ctrl-C while the network is silent must not wait for it. What arrives later is closed. */
function unlessAborted(connecting: Promise<Sqwish>, signal: AbortSignal): Promise<Sqwish> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => {
      reject(new SqwishError("cancelled", "Connecting was cancelled", { details: { mayHaveRun: "no" } }));
      connecting.then((sqwish) => sqwish.close(), () => {});
    }, { once: true });
    connecting.then(resolve, reject);
  });
}

/** A read of the API; every list answers `{ [key]: [...] }`. */
export async function readJson<T>(sqwish: Sqwish, path: string, signal?: AbortSignal): Promise<T> {
  return (await sqwish.call("GET", path, undefined, { signal })).json as T;
}

/** Says in these `words` that Ctrl-C ended only the wait for something that had gone out. */
export async function saysWhenCancelled<T>(
  asked: Promise<T>,
  signal: AbortSignal,
  words: string,
): Promise<T> {
  try {
    return await asked;
  } catch (thrown) {
    const isGivenUp = signal.aborted && thrown instanceof SqwishError && thrown.code === "cancelled";
    if (!isGivenUp || thrown.mayHaveRun === "no") throw thrown;
    // Without its cause, which would only say once more that it was cancelled.
    throw new SqwishError("cancelled", words);
  }
}

/** What the manager's answer to a change warns of, on standard error. */
export function tellWarnings({ terminal }: CommandContext, { warnings = [] }: { warnings?: string[] }): void {
  for (const warning of warnings) terminal.writeError(`warning: ${printable(warning)}\n`);
}

export function lookOf(terminal: Terminal): Look {
  return { width: terminal.width(), colours: terminal.colours };
}

/** Indented for people, one line for machines. */
export function formatJson(value: unknown, terminal: Terminal): string {
  return formatJsonLine(value, terminal, terminal.isOutTerminal ? 2 : undefined);
}

/** One line everywhere, unless indented. JSON escapes all that moves a terminal but the controls of ISO 6429's second set. */
export function formatJsonLine(value: unknown, terminal: Terminal, indent?: number): string {
  const text = JSON.stringify(value, null, indent);
  return (terminal.isOutTerminal ? text.replace(/[\x7f-\x9f]/g, escaped) : text) + "\n";
}

function escaped(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Waits, but not longer than until Ctrl-C. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    signal.addEventListener("abort", finish, { once: true });
  });
}

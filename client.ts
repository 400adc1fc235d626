/**
 * Sqwish's client: a library (`import { connect } from "./client.ts"`) and, when run, the command line.
 * Only wiring is here; the library is `lib/client/`, the commands are `lib/cli/`.
 */
import { runProgram } from "./lib/cli/arguments.ts";
import { clientRunOptions, createClientProgram } from "./lib/cli/client_program.ts";
import { createTerminal } from "./lib/cli/terminal.ts";
import { connect, connectTo } from "./lib/client/connect.ts";
import { version } from "./lib/version.ts";
import { discoverFingerprint } from "./lib/client/discover.ts";
import { createSystemClock } from "./lib/clock.ts";

export { connect } from "./lib/client/connect.ts";
export type { ConnectOptions } from "./lib/client/options.ts";
export type { CallReply, InvokeOptions, InvokeResult, Sqwish, Timing } from "./lib/client/sqwish.ts";
export { type ErrorCode, type ErrorDetails, type MayHaveRun, SqwishError } from "./lib/errors.ts";

/** Runs one command line; resolves with the exit code. */
async function main(argv: string[]): Promise<number> {
  const terminal = createTerminal();
  const program = createClientProgram({
    terminal,
    clock: createSystemClock(),
    environment: (name) => Deno.env.get(name),
    connect,
    connectTo,
    discoverFingerprint,
  }, version);
  return await runProgram(program, argv, clientRunOptions(terminal));
}

if (import.meta.main) Deno.exit(await main(Deno.args));

/** The whole command line of `client`: every command, and what goes with a failure. */
import { SqwishError } from "../errors.ts";
import { type Command, createProgram, type RunOptions } from "./arguments.ts";
import { addCordon, addDrain } from "./commands/agents.ts";
import { addBench } from "./commands/bench.ts";
import { addCompletions } from "./commands/completions.ts";
import type { CommandContext } from "./commands/context.ts";
import { addDeploy } from "./commands/deploy.ts";
import { addDescribe } from "./commands/describe.ts";
import { addEvents } from "./commands/events.ts";
import { addGet } from "./commands/get.ts";
import { addInvoke, requestIdOf } from "./commands/invoke.ts";
import { addLogin } from "./commands/login.ts";
import { addLogs } from "./commands/logs.ts";
import { addDelete, addRollout, addScale } from "./commands/rollout.ts";
import { addTop } from "./commands/top.ts";
import { addWhy } from "./commands/why.ts";
import { harmless, printable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

export function createClientProgram(context: CommandContext, version: string): Command {
  const program = createProgram({
    name: "client",
    description: "Sends requests into a Sqwish cluster and looks after it.",
    version,
    examples: [
      "client login --join sqwish1_…",
      "client deploy resize.ts --name images --version 1.0.0",
      "client invoke images/resize @photo.jpg > small.jpg",
      "client get agents --watch",
    ],
  });
  const commands = [
    addLogin,
    addInvoke,
    addGet,
    addDescribe,
    addDeploy,
    addRollout,
    addScale,
    addDelete,
    addDrain,
    addCordon,
    addLogs,
    addEvents,
    addTop,
    addWhy,
    addBench,
    addCompletions,
  ];
  for (const add of commands) add(program, context);
  return program;
}

/** How the client ends: what it says of a failure. */
export function clientRunOptions(terminal: Pick<Terminal, "isErrorTerminal" | "writeError">): RunOptions {
  return {
    // A module's words may be among them.
    writeError: (line) => terminal.writeError(`${terminal.isErrorTerminal ? harmless(line) : line}\n`),
    showCodes: true,
    advice: adviceFor,
    more: moreFor,
  };
}

/** What to do about a failure of `command`. */
function adviceFor(thrown: unknown, command: string | undefined): string | undefined {
  if (!(thrown instanceof SqwishError)) return undefined;
  const { operation, role } = thrown.details;
  const isSigningIn = command === "login";
  // Whoever is signing in knows where and as whom.
  if (thrown.code === "unauthenticated") return isSigningIn ? undefined : "sign in with `client login`";
  if (thrown.code === "manager_lost" && thrown.details.mayHaveRun === "no") {
    const another = isSigningIn ? "" : ", or sign in to another with `client login`";
    return `check that it runs there and that the network lets you through${another}`;
  }
  if (thrown.code === "forbidden" && role === "client" && operation !== "invoke") {
    return "join with a token that may: `manager token client --role operator` prints one";
  }
  // What may have run may have printed something: `client logs NAME --request ID`.
  const requestId = command === "invoke" && thrown.mayHaveRun !== "no" ? requestIdOf(thrown) : undefined;
  return requestId === undefined ? undefined : `request ${requestId}`;
}

/** What helps beyond the line: the user's own stack, the other errors of a file. */
function moreFor(thrown: unknown): string | undefined {
  if (!(thrown instanceof SqwishError)) return undefined;
  const { errors, stack } = thrown.details;
  if (Array.isArray(errors) && errors.length > 1) {
    return errors.map((error) => `  ${printable(String(error))}`).join("\n");
  }
  if (thrown.code === "module_failed" && typeof stack === "string") {
    const frames = stack.split("\n").filter((line) => /^\s*at /.test(line));
    return frames.map((line) => `  ${printable(line.trim())}`).join("\n") || undefined;
  }
  return undefined;
}

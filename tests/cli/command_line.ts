/** Runs whole command lines of `client` against a scripted manager, in memory and on real time. */
import { runProgram } from "../../lib/cli/arguments.ts";
import { clientRunOptions, createClientProgram } from "../../lib/cli/client_program.ts";
import type { CommandContext } from "../../lib/cli/commands/context.ts";
import { Sqwish } from "../../lib/client/sqwish.ts";
import { createSystemClock } from "../../lib/clock.ts";
import { SqwishError } from "../../lib/errors.ts";
import { type Frame, Op } from "../../lib/protocol/frame.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { type ManagerScript, type ScriptedConnection, ScriptedManager } from "../client/scripted_manager.ts";
import { FakeTerminal } from "./fake_terminal.ts";

/** "GET /v1/agents" → what is answered; a function gets the body. A `SqwishError` is answered as one. */
export type Answers = Record<string, unknown | ((body: unknown) => unknown)>;

/** An answer that never comes. */
export const unanswered = Symbol("unanswered");

export interface Run {
  code: number;
  out: string;
  error: string;
  terminal: FakeTerminal;
  manager: ScriptedManager;
}

export interface RunOptions {
  answers?: Answers;
  terminal?: Partial<FakeTerminal>;
  environment?: Record<string, string>;
  context?: Partial<CommandContext>;
  onRequest?: ManagerScript["onFrame"];
  /** Called once the command line is under way. */
  meanwhile?: (run: { terminal: FakeTerminal; manager: ScriptedManager }) => Promise<void>;
}

export async function runClient(argv: string[], options: RunOptions = {}): Promise<Run> {
  const terminal = Object.assign(new FakeTerminal(), options.terminal);
  const manager = new ScriptedManager({
    onFrame(frame, connection) {
      if (frame.op === Op.call) answerCall(frame, connection, options.answers ?? {});
      else options.onRequest?.(frame, connection);
    },
  });
  const clock = createSystemClock();
  const context: CommandContext = {
    terminal,
    clock,
    environment: (name) => options.environment?.[name],
    async connect() {
      const sqwish = new Sqwish({
        clock,
        random: createSeededRandom(1),
        version: "0.1.0",
        dial: () => manager.dial(),
        enroll: () => false,
      });
      await sqwish.open(0);
      return sqwish;
    },
    connectTo: () => Promise.reject(new Error("not expected")),
    discoverFingerprint: () => Promise.reject(new Error("not expected")),
    ...options.context,
  };
  const program = createClientProgram(context, "0.1.0");
  program.configureOutput({
    writeOut: (text) => terminal.writeOut(text),
    writeErr: (text) => terminal.writeError(text),
  });
  // Commands were made before the streams were redirected.
  for (const command of program.commands) command.copyInheritedSettings(program);
  const running = runProgram(program, argv, clientRunOptions(terminal));
  await options.meanwhile?.({ terminal, manager });
  const code = await running;
  return { code, out: terminal.out, error: terminal.error, terminal, manager };
}

function answerCall(frame: Frame, connection: ScriptedConnection, answers: Answers): void {
  const found = answers[frame.name];
  const body = frame.body.length > 0 ? JSON.parse(new TextDecoder().decode(frame.body)) : undefined;
  const answer = typeof found === "function" ? found(body) : found;
  if (answer === unanswered) return;
  if (answer === undefined) {
    const error = new SqwishError("not_found", `No ${frame.name}`);
    connection.reply(frame.id, error.toJSON(), { b: 404 });
  } else if (answer instanceof SqwishError) {
    connection.reply(frame.id, answer.toJSON(), { b: answer.http });
  } else {
    connection.reply(frame.id, answer, { b: 200 });
  }
}

/**
 * The command line of all three programs: one commander set-up, one way to report what went wrong.
 * From `argv` → commander → a command's action → the exit code: 0 done, 1 failed, 2 wrong usage.
 * Invariant: a failure is one line on standard error, `name: what was wrong; what to do`. Lists may follow it.
 */
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { describeError, SqwishError } from "../errors.ts";

export type { Command } from "commander";

/** Wrong usage found by a command itself: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface ProgramOptions {
  name: string;
  description: string;
  version: string;
  /** Whole command lines, shown at the end of the help. */
  examples?: string[];
}

export interface RunOptions {
  /** Receives one line without its line break; standard error by default. */
  writeError?: (line: string) => void;
  /** True: a `SqwishError`'s code follows its message. */
  showCodes?: boolean;
  /** What to do about a failure of this command, for the end of its line. */
  advice?: (thrown: unknown, command: string | undefined) => string | undefined;
  /** What does not fit into a line: the other errors of a file, a stack. */
  more?: (thrown: unknown) => string | undefined;
}

/** A commander program that never ends the process; its sub-commands inherit that. */
export function createProgram(options: ProgramOptions): Command {
  const program = new Command(options.name)
    .description(options.description)
    .version(options.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .showSuggestionAfterError(true)
    // An option belongs to the command it follows: `deploy --version 1.2.0` is the deployment's.
    .enablePositionalOptions()
    .exitOverride()
    // What commander would print itself is printed once, by `runProgram`, in one line.
    .configureOutput({ outputError: () => {} });
  if (options.examples) addExamples(program, options.examples);
  return program;
}

/** Appends an "Examples:" section to the command's help. */
export function addExamples(command: Command, lines: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

/**
 * Parses `argv` (without the program's path), runs the action and waits for it.
 * Returns the exit code; never throws.
 */
export async function runProgram(
  program: Command,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<number> {
  const writeError = options.writeError ?? ((line: string) => console.error(line));
  inheritVersion(program);
  program.hook("preAction", (_program, command) => {
    requirePaths(command);
    requirePlaces(command);
  });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      // Help and version are ends too; help for want of a command (`commander.help`) is wrong usage.
      if (thrown.exitCode === 0) return 0;
      if (thrown.code !== "commander.help") {
        writeError(
          `${program.name()}: ${usageMessage(thrown.message)}; see \`${commandPath(program, argv)} --help\``,
        );
      }
      return 2;
    }
    // Whoever reads only the first lines, as `head` does, has what it wanted.
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EPIPE") return 0;
    const advice = options.advice?.(thrown, argv[0]);
    const message = oneLine(describeError(thrown)) + (advice === undefined ? "" : `; ${advice}`);
    const code = options.showCodes && thrown instanceof SqwishError ? ` (${thrown.code})` : "";
    writeError(`${program.name()}: ${message}${code}`);
    const more = options.more?.(thrown);
    if (more) writeError(more);
    return thrown instanceof UsageError ? 2 : 1;
  }
}

/** `client get --version` answers like `client --version`, unless a command has an option of that name. */
function inheritVersion(program: Command): void {
  const version = program.version();
  if (version === undefined) return;
  const visit = (command: Command): void => {
    for (const child of command.commands) {
      const taken = child.options.some((option) => option.long === "--version");
      if (!taken) child.version(version, "-V, --version", "print the version");
      visit(child);
    }
  };
  visit(program);
}

/** `manager --data x token agent`: the option would be the manager's own, and the command would not see it. */
function requirePlaces(command: Command): void {
  for (let above = command.parent; above !== null; above = above.parent) {
    const given = above.options.find((option) =>
      above.getOptionValueSource(option.attributeName()) === "cli"
    );
    if (given === undefined) continue;
    throw new UsageError(
      command.options.some(({ long }) => long === given.long)
        ? `${given.long} must follow ${command.name()}, stands before it`
        : `${command.name()} takes no ${given.long}`,
    );
  }
}

/** A path that is empty, as a script's unset variable makes it, would mean the root or the working folder. */
function requirePaths(command: Command): void {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    for (const option of at.options) {
      const kind = /<(file|folder)>/.exec(option.flags)?.[1];
      if (kind !== undefined && at.getOptionValue(option.attributeName()) === "") {
        throw new UsageError(`${option.long} must name a ${kind}, is empty`);
      }
    }
  }
  command.registeredArguments.forEach((argument, index) => {
    const values = [command.processedArgs[index]].flat();
    if (["file", "path"].includes(argument.name()) && values.includes("")) {
      throw new UsageError(`<${argument.name()}> must name a file, is empty`);
    }
  });
}

/** Commander's words in one line: no "error:" in front, its suggestion behind. */
function usageMessage(message: string): string {
  const words = message.replace(/^error: /, "").replace(/\.?\s*\n\(Did you mean/, " (did you mean");
  return oneLine(words).replace(/\.$/, "");
}

/** `client rollout undo`: the command that a command line is for, as far as it is known. */
function commandPath(program: Command, argv: readonly string[]): string {
  const names = [program.name()];
  let command = program;
  for (const word of argv) {
    const next = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
    if (!next) break;
    names.push(next.name());
    command = next;
  }
  return names.join(" ");
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").trim();
}

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3600_000, d: 24 * 3600_000 };

/** An option's parser: `500ms`, `5s`, `1.5m`, `24h` or `7d` as ms, within the given bounds. */
export function durationMs(bounds: { min?: number; max?: number } = {}): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
    if (!match) {
      throw new InvalidArgumentError("A duration is a number with ms, s, m, h or d behind it, e.g. 5s.");
    }
    const ms = Number(match[1]) * unitMs[match[2]];
    const { min = 1, max = Number.MAX_SAFE_INTEGER } = bounds;
    if (ms < min || ms > max) {
      throw new InvalidArgumentError(`It must be ${min} ms to ${max} ms, is ${ms} ms.`);
    }
    return ms;
  };
}

/** An option's parser: a whole number within the given bounds. */
export function wholeNumber(bounds: { min: number; max?: number }): (text: string) => number {
  return (text) => {
    const value = Number(text);
    const { min, max = Number.MAX_SAFE_INTEGER } = bounds;
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const range = bounds.max === undefined ? `${min} or more` : `${min} to ${max}`;
      throw new InvalidArgumentError(`It must be a whole number, ${range}.`);
    }
    return value;
  };
}

/** A repeatable option's parser: `key=value`, gathered into one record. */
export function keyValue(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be key=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/**
 * README's fenced blocks as things to do, in their order. What the words behind the three backquotes mean:
 *   sh            commands that end by themselves; each must end well
 *   sh stays      programs that go on until the last block is done, one to a line
 *   LANGUAGE FILE a file of that name, written to the working folder: "ts hello.ts"
 * Everything else (ts, text, jsonc without a name …) is only for reading.
 */

export type ReadmeStep =
  | { kind: "commands"; line: number; commands: string[] }
  | { kind: "stays"; line: number; commands: string[] }
  | { kind: "file"; line: number; name: string; text: string };

/** Exact text or pattern in a command, what stands for it in the test, and why. */
export interface Substitution {
  from: string | RegExp;
  to: string;
}

/** The steps of a page. Throws, with the line, for a block that says something unknown. */
export function readSteps(markdown: string): ReadmeStep[] {
  const steps: ReadmeStep[] = [];
  const fence = /^```(\S*)[ \t]*(.*)\n([\s\S]*?)^```[ \t]*$/gm;
  for (const match of markdown.matchAll(fence)) {
    const [, language, rest, body] = match;
    const line = markdown.slice(0, match.index).split("\n").length;
    if (language === "sh" && (rest === "" || rest === "stays")) {
      steps.push({ kind: rest === "" ? "commands" : "stays", line, commands: commandsOf(body) });
    } else if (["sh", "bash", "shell", "console"].includes(language)) {
      throw new Error(
        `line ${line}: a block of commands must be "sh" or "sh stays", is "${language} ${rest}"`,
      );
    } else if (/^[\w./-]+\.\w+$/.test(rest)) {
      steps.push({ kind: "file", line, name: rest, text: body });
    }
  }
  return steps;
}

/** One command a line; a backslash at the end goes on in the next, and lines that are comments are none. */
function commandsOf(body: string): string[] {
  return body
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .map((command) => command.trim())
    .filter((command) => command !== "" && !command.startsWith("#"));
}

/** The command with every substitution made, in the table's order. */
export function substitute(command: string, table: readonly Substitution[]): string {
  return table.reduce((text, { from, to }) => text.replaceAll(globally(from), () => to), command);
}

function globally(from: string | RegExp): string | RegExp {
  return typeof from === "string" || from.global ? from : new RegExp(from.source, `${from.flags}g`);
}

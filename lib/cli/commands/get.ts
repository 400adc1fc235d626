/** `client get`: a table of one kind of thing, once or again and again. */
import { Argument, InvalidArgumentError } from "commander";
import type { Sqwish } from "../../client/sqwish.ts";
import { didYouMean } from "../../near_miss.ts";
import { addExamples, type Command } from "../arguments.ts";
import { formatTable } from "../tables.ts";
import {
  agentKind,
  endpointKind,
  eventKind,
  type Kind,
  replicaSetKind,
  revisionKind,
  rolloutKind,
  userKind,
} from "../views.ts";
import { type CommandContext, formatJson, lookOf, pause, readJson, withConnection } from "./context.ts";

const kinds = {
  agents: agentKind,
  replicasets: replicaSetKind,
  endpoints: endpointKind,
  revisions: revisionKind,
  rollouts: rolloutKind,
  events: eventKind,
  users: userKind,
};
const watchMs = 1000;
const clearScreen = "\x1b[H\x1b[2J";

interface Options {
  json?: boolean;
  watch?: boolean;
  replicaset?: string;
}

export function addGet(program: Command, context: CommandContext): void {
  const command = program.command("get")
    .description("print a table of what is in the cluster")
    .addArgument(new Argument("<kind>", "what to list").choices(Object.keys(kinds)).argParser(parseKind))
    .option("--json", "JSON for machines")
    .option("-w, --watch", "go on, every second, until Ctrl-C")
    .option("--replicaset <name>", "of revisions and rollouts: only this replicaSet's")
    .action((kind: keyof typeof kinds, options: Options) => get(context, kind, options));
  addExamples(command, [
    "client get agents",
    "client get endpoints --watch",
    "client get revisions --replicaset images",
    "client get rollouts",
    "client get replicasets --json | jq '.replicaSets[].name'",
  ]);
}

/** Takes the singular too, as `describe` does. */
function parseKind(text: string): string {
  const known = Object.keys(kinds);
  const kind = known.find((name) => name === text || name === `${text}s`);
  if (kind !== undefined) return kind;
  throw new InvalidArgumentError(`It must be one of ${known.join(", ")}${didYouMean(text, known)}`);
}

async function get(context: CommandContext, name: keyof typeof kinds, options: Options): Promise<void> {
  const { terminal, clock } = context;
  // Each column list fits its own rows; here only text is made of them.
  const kind = kinds[name] as unknown as Kind<unknown>;
  const path = (name === "revisions" || name === "rollouts") && options.replicaset
    ? `${kind.path}?replicaSet=${encodeURIComponent(options.replicaset)}`
    : kind.path;
  await withConnection(context, async (sqwish, signal) => {
    if (!options.watch) {
      terminal.writeOut(await page(context, sqwish, kind, path, options, signal));
      return;
    }
    let last = "";
    while (!signal.aborted) {
      const text = await page(context, sqwish, kind, path, options, signal).catch((thrown) => {
        if (signal.aborted) return last;
        throw thrown;
      });
      // Into a pipe only changes are written; a terminal is drawn anew.
      if (text !== last) terminal.writeOut(terminal.isOutTerminal ? clearScreen + text : text);
      last = text;
      await pause(clock, watchMs, signal);
    }
  });
}

async function page(
  context: CommandContext,
  sqwish: Sqwish,
  kind: Kind<unknown>,
  path: string,
  options: Options,
  signal: AbortSignal,
): Promise<string> {
  const answer = await readJson<Record<string, unknown[]>>(sqwish, path, signal);
  if (options.json) return formatJson(answer, context.terminal);
  return formatTable(answer[kind.key] ?? [], kind.columns, lookOf(context.terminal), kind.empty);
}

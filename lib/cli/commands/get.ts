/** `client get`: a table of one kind of thing, once or again and again. */
import { Argument, InvalidArgumentError } from "commander";
import type { Sqwish } from "../../client/sqwish.ts";
import { didYouMean } from "../../near_miss.ts";
import { addExamples, type Command, UsageError } from "../arguments.ts";
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
import { requireReplicaSet } from "./filters.ts";

const kinds = {
  agents: agentKind,
  replicasets: replicaSetKind,
  endpoints: endpointKind,
  revisions: revisionKind,
  rollouts: rolloutKind,
  events: eventKind,
  users: userKind,
};
/** Those that `--replicaset` narrows, and what is said when a set has none. */
const narrowed: Partial<Record<keyof typeof kinds, (replicaSet: string) => string>> = {
  revisions: (replicaSet) => `no revisions of ${replicaSet} are stored`,
  rollouts: (replicaSet) => `no rollouts of ${replicaSet} are kept`,
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
  const emptyOf = narrowed[name];
  if (options.replicaset !== undefined && emptyOf === undefined) {
    throw new UsageError(`--replicaset is for ${Object.keys(narrowed).join(" and ")}, not for ${name}`);
  }
  // Each column list fits its own rows; here only text is made of them.
  const kind = kinds[name] as unknown as Kind<unknown>;
  await withConnection(context, async (sqwish, signal) => {
    if (!options.watch) {
      terminal.writeOut(await page(context, sqwish, kind, options, emptyOf, signal));
      return;
    }
    let last = "";
    while (!signal.aborted) {
      const text = await page(context, sqwish, kind, options, emptyOf, signal).catch((thrown) => {
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
  { json, replicaset }: Options,
  emptyOf: ((replicaSet: string) => string) | undefined,
  signal: AbortSignal,
): Promise<string> {
  const query = replicaset === undefined ? "" : `?replicaSet=${encodeURIComponent(replicaset)}`;
  const answer = await readJson<Record<string, unknown[]>>(sqwish, kind.path + query, signal);
  const rows = answer[kind.key] ?? [];
  if (rows.length === 0 && replicaset !== undefined) await requireReplicaSet(sqwish, replicaset, signal);
  if (json) return formatJson(answer, context.terminal);
  const empty = replicaset === undefined ? kind.empty : emptyOf?.(replicaset);
  return formatTable(rows, kind.columns, lookOf(context.terminal), empty);
}

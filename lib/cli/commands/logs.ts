/** `client logs`: what a replicaSet's modules print, on all agents, and with `-f` what they print from now on. */
import { Option } from "commander";
import type { Sqwish } from "../../client/sqwish.ts";
import type { LogLineView, LogsView } from "../../protocol/views.ts";
import { addExamples, type Command, durationMs, wholeNumber } from "../arguments.ts";
import { follow, type Page } from "../follow.ts";
import { formatMoment, paint, printable, type Tone } from "../tables.ts";
import { type CommandContext, formatJson, formatJsonLine, readJson, withConnection } from "./context.ts";
import { requireAgent, requireRevision } from "./filters.ts";

interface Options {
  follow?: boolean;
  agent?: string;
  since?: number;
  level?: string;
  revision?: number;
  request?: string;
  grep?: string;
  limit?: number;
  json?: boolean;
}

const oldLines = 200;

export function addLogs(program: Command, context: CommandContext): void {
  const command = program.command("logs")
    .description("print what a replicaSet's modules print")
    .argument("<name>", "replicaSet")
    .option("-f, --follow", "go on with new lines until Ctrl-C")
    .option("--agent <name>", "only this agent's")
    .option("--since <duration>", "no older ones, e.g. 5m", durationMs())
    .addOption(
      new Option("--level <level>", "only lines at least so grave").choices([
        "debug",
        "info",
        "warn",
        "error",
      ]),
    )
    .option("--revision <number>", "only this revision's", wholeNumber({ min: 1 }))
    .option("--request <id>", "only lines of this request")
    .option("--grep <text>", "only lines with this text, whatever the case")
    .option(
      "-n, --limit <count>",
      `how many old ones (default: ${oldLines}; with --follow none, unless --since asks for some)`,
      wholeNumber({ min: 0, max: 1000 }),
    )
    .option("--json", "JSON for machines; with --follow one line for each")
    .action((name: string, options: Options) => logs(context, name, options));
  addExamples(command, [
    "client logs images",
    "client logs images -f --agent attic-pi",
    "client logs images --since 5m --level warn",
    "client logs images --request 0000001200000a3f",
  ]);
}

/** Of a filter that nothing was ever written under, the name is looked up: it may be a mistake. */
async function requireKnown(
  sqwish: Sqwish,
  name: string,
  { agent, revision }: Options,
  signal: AbortSignal,
): Promise<void> {
  const hasLines = async (filter: Record<string, string>) => {
    const query = new URLSearchParams({ ...filter, limit: "1" });
    const path = `/v1/logs/${encodeURIComponent(name)}?${query}`;
    return (await readJson<LogsView>(sqwish, path, signal)).lines.length > 0;
  };
  if (agent !== undefined && !await hasLines({ agent })) await requireAgent(sqwish, agent, signal);
  if (revision !== undefined && !await hasLines({ revision: String(revision) })) {
    await requireRevision(sqwish, name, revision, signal);
  }
}

async function logs(context: CommandContext, name: string, options: Options): Promise<void> {
  const { terminal, clock } = context;
  const path = `/v1/logs/${encodeURIComponent(name)}`;
  const filters = filtersOf(options);
  await withConnection(context, async (sqwish, signal) => {
    const read = async (more: Record<string, string>): Promise<Page<LogLineView>> => {
      const query = new URLSearchParams({ ...filters, ...more });
      const { lines, lastId } = await readJson<LogsView>(sqwish, `${path}?${query}`, signal);
      return { items: inTimeOrder(lines), lastId };
    };
    const old: Record<string, string> = options.since === undefined ? {} : { lastMs: String(options.since) };
    const limit = options.limit ?? (options.follow && options.since === undefined ? 0 : oldLines);
    const first = await read({ ...old, limit: String(limit) });
    if (first.items.length === 0 && !options.follow) await requireKnown(sqwish, name, options, signal);
    const write = (line: LogLineView) =>
      terminal.writeOut(options.json ? formatJsonLine(line, terminal) : logLine(line, terminal.colours));
    if (options.follow) {
      const readAfter = (id: number) => read({ limit: "1000", afterId: String(id) });
      const note = (text: string) => terminal.writeError(`${text}\n`);
      return await follow({ first, readAfter, write, note }, clock, signal);
    }
    if (options.json) return terminal.writeOut(formatJson({ lines: first.items }, terminal));
    for (const line of first.items) write(line);
    // Beside the lines, for whoever counts them.
    const isFiltered = Object.keys({ ...filters, ...old }).length > 0;
    if (isFiltered && first.items.length === 0) terminal.writeError("no line matches the filter\n");
  });
}

/**
 * What several agents sent, merged by time. One agent's lines keep their order whatever its clock does meanwhile: its
 * time is taken not to go back.
 */
export function inTimeOrder(lines: readonly LogLineView[]): LogLineView[] {
  const latest = new Map<string, number>();
  return lines.map((line) => {
    const atMs = Math.max(line.atMs, latest.get(line.agent) ?? -Infinity);
    latest.set(line.agent, atMs);
    return { line, atMs };
  }).sort((left, right) => left.atMs - right.atMs).map(({ line }) => line);
}

function filtersOf({ agent, level, revision, request, grep }: Options): Record<string, string> {
  const filters = { agent, level, revision: revision?.toString(), requestId: request, contains: grep };
  return Object.fromEntries(
    Object.entries(filters).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

const tones: Partial<Record<LogLineView["level"], Tone>> = { debug: "faint", warn: "warn", error: "bad" };

function logLine(line: LogLineView, colours: boolean): string {
  const head = `${formatMoment(line.atMs)}  ${line.agent}  r${line.revision}`;
  const level = paint(line.level.padEnd(5), tones[line.level], colours);
  const request = line.requestId ? paint(`  ${line.requestId}`, "faint", colours) : "";
  // A stack or a table stays readable; only control characters are taken out.
  const text = line.text.split("\n").map(printable).join("\n    ");
  return `${paint(head, "faint", colours)}  ${level}${request}  ${text}\n`;
}

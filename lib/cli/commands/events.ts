/** `client events`: what the cluster decided, and with `-f` what it decides from now on. */
import { InvalidArgumentError, Option } from "commander";
import { didYouMean } from "../../near_miss.ts";
import { eventKindOf, eventNames } from "../../protocol/event_kinds.ts";
import type { EventView } from "../../protocol/views.ts";
import { addExamples, type Command, durationMs, wholeNumber } from "../arguments.ts";
import { follow, type Page } from "../follow.ts";
import { formatMoment, formatTable, paint, printable } from "../tables.ts";
import { eventKind, eventTone } from "../views.ts";
import {
  type CommandContext,
  formatJson,
  formatJsonLine,
  lookOf,
  readJson,
  withConnection,
} from "./context.ts";
import { requireSubject } from "./filters.ts";

interface Options {
  follow?: boolean;
  since?: number;
  level?: string;
  kind?: string;
  subject?: string;
  limit: number;
  json?: boolean;
}

export function addEvents(program: Command, context: CommandContext): void {
  const command = program.command("events")
    .description("print what the cluster decided and why")
    .option("-f, --follow", "go on with new ones until Ctrl-C")
    .option("--since <duration>", "no older ones, e.g. 8h", durationMs())
    .addOption(
      new Option("--level <level>", "only those at least so grave").choices(["info", "warn", "error"]),
    )
    .option("--kind <kind>", "only of this kind, e.g. agent_lost; several with commas", eventKindsText)
    .option("--subject <name>", "only of this agent, replicaSet or user")
    .option("-n, --limit <count>", "how many old ones", wholeNumber({ min: 1, max: 1000 }), 50)
    .option("--json", "JSON for machines; with --follow one line for each")
    .action((options: Options) => events(context, options));
  addExamples(command, [
    "client events",
    "client events -f",
    "client events --since 8h --level warn",
    "client events -n 500 --json",
  ]);
}

/** Checked while the command line is read, as `--level` is. */
function eventKindsText(text: string): string {
  for (const name of text.split(",")) {
    if (eventKindOf(name) !== undefined) continue;
    const near = didYouMean(name, eventNames);
    throw new InvalidArgumentError(
      near === "" ? `Kinds are ${eventNames.join(", ")}` : `It is no kind of event${near}`,
    );
  }
  return text;
}

async function events(context: CommandContext, options: Options): Promise<void> {
  const { terminal, clock } = context;
  await withConnection(context, async (sqwish, signal) => {
    const read = async (more: Record<string, string>): Promise<EventView[]> => {
      const query = new URLSearchParams({ ...filtersOf(options), ...more });
      const answer = await readJson<{ events: EventView[] }>(sqwish, `/v1/events?${query}`, signal);
      return answer.events.toSorted((left, right) => left.id - right.id);
    };
    const first = await read({ limit: String(options.limit) });
    if (!options.follow) {
      // Who follows may wait for an agent that is still to join.
      const { subject } = options;
      if (first.length === 0 && subject !== undefined) await requireSubject(sqwish, subject, signal);
      const isFiltered = Object.keys(filtersOf(options)).length > 0;
      const empty = isFiltered ? "no event matches the filter" : eventKind.empty;
      const text = options.json
        ? formatJson({ events: first }, terminal)
        : formatTable(first, eventKind.columns, lookOf(terminal), empty);
      return terminal.writeOut(text);
    }
    const pageAfter = (items: EventView[], id: number): Page<EventView> => ({
      items,
      lastId: items.at(-1)?.id ?? id,
    });
    const readAfter = async (id: number) => pageAfter(await read({ limit: "1000", afterId: String(id) }), id);
    const write = (event: EventView) =>
      terminal.writeOut(options.json ? formatJsonLine(event, terminal) : eventLine(event, terminal.colours));
    const note = (text: string) => terminal.writeError(`${text}\n`);
    await follow({ first: pageAfter(first, 0), readAfter, write, note }, clock, signal);
  });
}

function filtersOf({ since, level, kind, subject }: Options): Record<string, string> {
  const filters = { lastMs: since?.toString(), level, kind, subject };
  return Object.fromEntries(
    Object.entries(filters).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function eventLine(event: EventView, colours: boolean): string {
  const level = paint(event.level.padEnd(5), eventTone(event), colours);
  const subject = event.subject === "" ? "" : `${printable(event.subject)}: `;
  return `${paint(formatMoment(event.atMs), "faint", colours)}  ${level}  ${subject}${
    printable(event.message)
  }\n`;
}

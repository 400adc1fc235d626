/** `client events`: what the cluster decided, and with `-f` what it decides from now on. */
import type { EventView } from "../../protocol/views.ts";
import { addExamples, type Command, wholeNumber } from "../arguments.ts";
import { formatMoment, formatTable, paint, printable } from "../tables.ts";
import { eventKind, eventTone } from "../views.ts";
import { type CommandContext, formatJson, lookOf, pause, readJson, withConnection } from "./context.ts";

const pollMs = 500;

interface Options {
  follow?: boolean;
  limit: number;
  json?: boolean;
}

export function addEvents(program: Command, context: CommandContext): void {
  const command = program.command("events")
    .description("print what the cluster decided and why")
    .option("-f, --follow", "go on with new ones until Ctrl-C")
    .option("-n, --limit <count>", "how many old ones", wholeNumber({ min: 1, max: 1000 }), 50)
    .option("--json", "JSON for machines; with --follow one line for each")
    .action((options: Options) => events(context, options));
  addExamples(command, ["client events", "client events -f", "client events -n 500 --json"]);
}

async function events(context: CommandContext, options: Options): Promise<void> {
  const { terminal, clock } = context;
  await withConnection(context, async (sqwish, signal) => {
    const read = async (query: string): Promise<EventView[]> => {
      const answer = await readJson<{ events: EventView[] }>(sqwish, `/v1/events?${query}`, signal);
      return answer.events.toSorted((left, right) => left.id - right.id);
    };
    let batch = await read(`limit=${options.limit}`);
    if (!options.follow) {
      const text = options.json
        ? formatJson({ events: batch }, terminal)
        : formatTable(batch, eventKind.columns, lookOf(terminal), eventKind.empty);
      return terminal.writeOut(text);
    }
    let lastId = 0;
    while (!signal.aborted) {
      for (const event of batch) {
        if (event.id <= lastId) continue;
        lastId = event.id;
        terminal.writeOut(options.json ? JSON.stringify(event) + "\n" : eventLine(event, terminal.colours));
      }
      await pause(clock, pollMs, signal);
      // Ctrl-C while the manager is asked is as good an end as between two questions.
      batch = await read(`limit=1000&afterId=${lastId}`).catch((thrown) => {
        if (signal.aborted) return [];
        throw thrown;
      });
    }
  });
}

function eventLine(event: EventView, colours: boolean): string {
  const level = paint(event.level.padEnd(5), eventTone(event), colours);
  const subject = event.subject === "" ? "" : `${printable(event.subject)}: `;
  return `${paint(formatMoment(event.atMs), "faint", colours)}  ${level}  ${subject}${
    printable(event.message)
  }\n`;
}

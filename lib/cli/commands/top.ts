/** `client top`: the cluster on one screen, drawn anew every second until Ctrl-C; into a pipe it is drawn once. */
import type { EndpointView, OverviewView } from "../../protocol/views.ts";
import { addExamples, type Command } from "../arguments.ts";
import {
  formatBytes,
  formatMoment,
  formatRate,
  formatTable,
  type Look,
  paint,
  printable,
} from "../tables.ts";
import { agentKind, endpointKind, eventTone } from "../views.ts";
import { type CommandContext, lookOf, pause, readJson, withConnection } from "./context.ts";
import { counted } from "../../words.ts";

const periodMs = 1000;
/** The other screen of a terminal, so that what was there is there again afterwards; and the cursor. */
const enter = "\x1b[?1049h\x1b[?25l";
const leave = "\x1b[?25h\x1b[?1049l";
const home = "\x1b[H";
const clearRest = "\x1b[J";
const clearLine = "\x1b[K";

export function addTop(program: Command, context: CommandContext): void {
  const command = program.command("top")
    .description("show what the cluster does now, until Ctrl-C")
    .action(() => top(context));
  addExamples(command, ["client top"]);
}

async function top(context: CommandContext): Promise<void> {
  const { terminal, clock } = context;
  await withConnection(context, async (sqwish, signal) => {
    const read = () => readJson<OverviewView>(sqwish, "/v1/overview", signal);
    if (!terminal.isOutTerminal) {
      return terminal.writeOut(drawTop(await read(), lookOf(terminal), Infinity).join("\n") + "\n");
    }
    terminal.writeOut(enter);
    try {
      while (!signal.aborted) {
        const overview = await read().catch((thrown) => {
          if (signal.aborted) return null;
          throw thrown;
        });
        if (overview) {
          const lines = drawTop(overview, lookOf(terminal), terminal.height());
          terminal.writeOut(home + lines.map((line) => line + clearLine).join("\r\n") + clearRest);
        }
        await pause(clock, periodMs, signal);
      }
    } finally {
      terminal.writeOut(leave);
    }
  });
}

const eventsMax = 4;

/** The screen's lines, at most `height`: the cluster, agents, the busiest endpoints, the newest events. Pure. */
export function drawTop(overview: OverviewView, look: Look, height: number): string[] {
  const { agents, endpoints, events } = overview;
  const head = headLines(overview, look);
  const newest = events.slice(0, eventsMax).map((event) => {
    const text = `${formatMoment(event.atMs)}  ${printable(event.message)}`.slice(0, widthOf(look));
    return paint(text, eventTone(event), look.colours);
  });
  // Whoever needs a look comes first; then those who do most.
  const byNeed = agents.toSorted((left, right) =>
    Number(left.health === "ready") - Number(right.health === "ready") ||
    right.outstanding - left.outstanding || (right.host?.cpu ?? 0) - (left.host?.cpu ?? 0)
  );
  const byLoad = endpoints.toSorted((left, right) =>
    right.requestsPerSecond - left.requestsPerSecond || (left.endpoint < right.endpoint ? -1 : 1)
  );
  const room = Math.max(4, height - head.length - newest.length - 3);
  const agentRoom = Math.min(agents.length + 1, Math.max(2, Math.ceil(room / 2)));
  const endpointRoom = Math.max(2, room - agentRoom);
  return [
    ...head,
    "",
    ...table(formatTable(byNeed, agentKind.columns, look, agentKind.empty), agentRoom),
    "",
    ...table(formatTable<EndpointView>(byLoad, endpointKind.columns, look, endpointKind.empty), endpointRoom),
    "",
    ...newest,
  ].slice(0, height);
}

function headLines({ cluster, agents }: OverviewView, look: Look): string[] {
  const tone = cluster.health === "ok" ? "good" : cluster.health === "degraded" ? "warn" : "bad";
  const ready = agents.filter(({ health }) => health === "ready").length;
  const now = [
    `${formatRate(cluster.requestsPerSecond)} requests/s`,
    `${formatRate(cluster.errorsPerSecond)} errors/s`,
    `${cluster.outstanding} running`,
    `${cluster.queued} waiting`,
    `${ready}/${counted(agents.length, "agent")}`,
    counted(cluster.clients, "client"),
    `manager ${cluster.managerCpuCores.toFixed(2)} cores, ${formatBytes(cluster.managerMemoryBytes)}`,
  ].join("  ");
  const title = `${printable(cluster.cluster)}  ${paint(cluster.health, tone, look.colours)}  ${
    formatMoment(cluster.atMs)
  }`;
  const problems = cluster.problems.slice(0, 3)
    .map((problem) => paint(printable(problem).slice(0, widthOf(look)), "warn", look.colours));
  return [title, now.slice(0, widthOf(look)), ...problems];
}

function table(text: string, rows: number): string[] {
  const lines = text.trimEnd().split("\n");
  if (lines.length <= rows) return lines;
  return [...lines.slice(0, rows - 1), `… ${lines.length - rows + 1} more`];
}

function widthOf({ width }: Look): number {
  return Number.isFinite(width) ? width : Number.MAX_SAFE_INTEGER;
}

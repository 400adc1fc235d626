/**
 * `client why NAME`: says what the name is, asks the manager for what it recorded of it, and tells why it is as it is.
 * Endpoints have a slash in their name and a file of their own.
 */
import type { Sqwish } from "../../client/sqwish.ts";
import { notFound } from "../../near_miss.ts";
import type { EventView, OverviewView } from "../../protocol/views.ts";
import { addExamples, type Command } from "../arguments.ts";
import { printable } from "../tables.ts";
import { explainAgent, explainReplicaSet } from "../why/explain.ts";
import { type CommandContext, readJson, withConnection } from "./context.ts";
import { whyEndpoint } from "./why_endpoint.ts";

const eventsRead = 50;

export function addWhy(program: Command, context: CommandContext): void {
  const command = program.command("why")
    .description("tell in plain words why an endpoint, a replicaSet or an agent is as it is")
    .argument("<name>", "replicaSet/function, a replicaSet or an agent")
    .action((name: string) =>
      withConnection(context, async (sqwish, signal) => {
        const lines = name.includes("/")
          ? await whyEndpoint(sqwish, name, signal)
          : await whyOther(sqwish, name, signal);
        context.terminal.writeOut(lines.map((line) => `${printable(line)}\n`).join(""));
      })
    );
  addExamples(command, ["client why images/resize", "client why images", "client why attic-pi"]);
}

/** Throws `not_found` with near misses. */
async function whyOther(sqwish: Sqwish, name: string, signal: AbortSignal): Promise<string[]> {
  const overview = await readJson<OverviewView>(sqwish, "/v1/overview", signal);
  const names = [...overview.replicaSets, ...overview.agents].map((each) => each.name);
  if (!names.includes(name)) throw notFound("replicaSet or agent", name, names);
  const path = `/v1/events?subject=${encodeURIComponent(name)}&limit=${eventsRead}`;
  const { events } = await readJson<{ events: EventView[] }>(sqwish, path, signal);
  return explain(overview, name, events.toSorted((left, right) => left.id - right.id));
}

/** Of both a replicaSet and an agent of one name, both are told. */
function explain({ replicaSets, agents }: OverviewView, name: string, events: EventView[]): string[] {
  const set = replicaSets.find((each) => each.name === name);
  const agent = agents.find((each) => each.name === name);
  return [
    ...(set ? explainReplicaSet(set, events) : []),
    ...(agent ? explainAgent(agent, events) : []),
  ];
}

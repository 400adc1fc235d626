/** `client why NAME`: says what the name is, asks the manager for what it recorded of it, and tells why it is as it is. */
import { SqwishError } from "../../errors.ts";
import { nearMisses } from "../../near_miss.ts";
import type { EventView, OverviewView } from "../../protocol/views.ts";
import { addExamples, type Command } from "../arguments.ts";
import { printable } from "../tables.ts";
import { explainAgent, explainReplicaSet } from "../why/explain.ts";
import { type CommandContext, readJson, withConnection } from "./context.ts";

const eventsRead = 50;

export function addWhy(program: Command, context: CommandContext): void {
  const command = program.command("why")
    .description("tell in plain words why a replicaSet or an agent is as it is")
    .argument("<name>", "a replicaSet, an endpoint or an agent")
    .action((name: string) =>
      withConnection(context, async (sqwish, signal) => {
        const overview = await readJson<OverviewView>(sqwish, "/v1/overview", signal);
        const subject = subjectOf(overview, name);
        const path = `/v1/events?subject=${encodeURIComponent(subject)}&limit=${eventsRead}`;
        const { events } = await readJson<{ events: EventView[] }>(sqwish, path, signal);
        const lines = explain(overview, subject, events.toSorted((left, right) => left.id - right.id));
        context.terminal.writeOut(lines.map((line) => `${printable(line)}\n`).join(""));
      })
    );
  addExamples(command, ["client why images", "client why attic-pi"]);
}

/** An endpoint is as its replicaSet is. Throws `not_found` with near misses. */
function subjectOf({ replicaSets, agents }: OverviewView, name: string): string {
  const names = [...replicaSets, ...agents].map((each) => each.name);
  const [set] = name.split("/");
  if (names.includes(name)) return name;
  if (set !== name && names.includes(set)) return set;
  const near = nearMisses(name, names);
  const hint = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
  throw new SqwishError("not_found", `There is no replicaSet or agent ${name}${hint}`);
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

/** `client describe`: everything known of one agent, replicaSet, endpoint, revision or rollout. */
import { Argument } from "commander";
import type { Sqwish } from "../../client/sqwish.ts";
import { diffLines } from "../../deployment/difference.ts";
import type { ReplicaCount } from "../../protocol/revision.ts";
import type {
  AgentView,
  EndpointView,
  EventView,
  PastRolloutView,
  ReplicaSetView,
  ReplicaView,
  RevisionDetailView,
  RevisionView,
} from "../../protocol/views.ts";
import { addExamples, type Command, UsageError } from "../arguments.ts";
import {
  type Column,
  formatBytes,
  formatFields,
  formatMoment,
  formatMs,
  formatPairs,
  formatRate,
  formatShare,
  formatTable,
  type Look,
  paint,
  printable,
} from "../tables.ts";
import { counted } from "../../words.ts";
import { eventKind, revisionKind } from "../views.ts";
import { type CommandContext, formatJson, lookOf, readJson, withConnection } from "./context.ts";
import { describeRollout, readRollout } from "./describe_rollout.ts";

const eventsShown = 10;

const kinds = ["agent", "replicaset", "endpoint", "revision", "rollout"] as const;
type Kind = (typeof kinds)[number];

export function addDescribe(program: Command, context: CommandContext): void {
  const command = program.command("describe")
    .description("print everything known of one thing")
    .addArgument(new Argument("<kind>", "what it is").choices(kinds))
    .argument(
      "<name>",
      "its name; of a revision: the replicaSet's and its number, images/3; of a rollout: the replicaSet's for " +
        "its newest, or images/3 for the newest to that revision",
    )
    .option("--json", "JSON for machines")
    .action((kind: Kind, name: string, options: { json?: boolean }) =>
      describe(context, kind, name, options)
    );
  addExamples(command, [
    "client describe agent attic-pi",
    "client describe replicaset images",
    "client describe revision images/3",
    "client describe rollout images",
    "client describe endpoint images/resize --json",
  ]);
}

async function describe(
  context: CommandContext,
  kind: Kind,
  name: string,
  options: { json?: boolean },
): Promise<void> {
  const { terminal } = context;
  if (kind === "revision" && !/^[^/]+\/\d+$/.test(name)) {
    throw new UsageError(
      `a revision is named by its replicaSet and number, ${name.split("/")[0] || "images"}/3`,
    );
  }
  // An endpoint's slash is part of the path.
  const path = `/v1/${kind}s/${name.split("/").map(encodeURIComponent).join("/")}`;
  await withConnection(context, async (sqwish, signal) => {
    const thing = kind === "rollout"
      ? await readRollout(sqwish, name, signal)
      : await readJson<unknown>(sqwish, path, signal);
    if (options.json) return terminal.writeOut(formatJson(thing, terminal));
    const look = lookOf(terminal);
    if (kind === "endpoint") return terminal.writeOut(describeEndpoint(thing as EndpointView, look));
    if (kind === "revision") {
      return terminal.writeOut(describeRevision(thing as RevisionDetailView, look));
    }
    if (kind === "rollout") return terminal.writeOut(describeRollout(thing as PastRolloutView, look));
    const events = await recentEvents(sqwish, name, signal);
    if (kind === "agent") {
      return terminal.writeOut(describeAgent(thing as AgentView, look) + section("Events", events, look));
    }
    const revisions = await readJson<{ revisions: RevisionView[] }>(
      sqwish,
      `/v1/revisions?replicaSet=${encodeURIComponent(name)}`,
      signal,
    );
    const text = describeReplicaSet(thing as ReplicaSetView, look) +
      heading("Revisions", look) + formatTable(revisions.revisions, revisionKind.columns.slice(1), look) +
      section("Events", events, look);
    terminal.writeOut(text);
  });
}

async function recentEvents(sqwish: Sqwish, subject: string, signal: AbortSignal): Promise<EventView[]> {
  const path = `/v1/events?subject=${encodeURIComponent(subject)}&limit=${eventsShown}`;
  const { events } = await readJson<{ events: EventView[] }>(sqwish, path, signal);
  return events.toSorted((left, right) => left.id - right.id);
}

function heading(title: string, look: Look): string {
  return `\n${paint(title, "bold", look.colours)}\n`;
}

function section(title: string, events: EventView[], look: Look): string {
  return heading(title, look) + formatTable(events, eventKind.columns, look, eventKind.empty);
}

function unlessLost({ state }: ReplicaView, text: string): string {
  return state === "lost" ? "-" : text;
}

const replicaColumns: Column<ReplicaView>[] = [
  {
    title: "STATE",
    text: (row) => row.state,
    tone: (row) =>
      row.state === "ready" ? "good" : row.state === "failed" || row.state === "lost" ? "bad" : "warn",
  },
  { title: "REVISION", right: true, text: (row) => String(row.revision) },
  { title: "VERSION", text: (row) => row.version },
  { title: "BUSY", right: true, text: (row) => `${row.outstanding}/${row.slots}` },
  { title: "RUNNERS", right: true, text: (row) => unlessLost(row, String(row.runners)) },
  { title: "CPU", right: true, text: (row) => unlessLost(row, row.cpuCores.toFixed(2)) },
  { title: "MEMORY", right: true, text: (row) => unlessLost(row, formatBytes(row.memoryBytes)) },
  { title: "RESTARTS", right: true, text: (row) => unlessLost(row, String(row.restarts)) },
  { title: "REASON", flexible: true, text: (row) => row.reason ?? "" },
];

function describeAgent(agent: AgentView, look: Look): string {
  const { host } = agent;
  const fields: [string, string][] = [
    ["Name", agent.name],
    ["Health", healthOf(agent)],
    ["Address", agent.address],
    ["Version", agent.version],
    ["Labels", formatPairs(agent.labels)],
    ["Cores", String(agent.cores)],
    ["Requests", `${agent.outstanding} running, ${agent.slots} at once`],
  ];
  if (host) {
    fields.push(
      ["CPU", `${formatShare(host.cpu)}, load ${host.load1.toFixed(2)}`],
      ["Memory", `${formatBytes(host.memoryUsedBytes)} of ${formatBytes(host.memoryTotalBytes)}`],
    );
    if (host.temperatureC !== undefined) {
      fields.push([
        "Temperature",
        `${host.temperatureC.toFixed(1)} °C${host.throttled ? ", throttled" : ""}`,
      ]);
    }
  }
  const { agentCpuCores, agentMemoryBytes, connectedAtMs } = agent;
  if (agentCpuCores !== undefined && agentMemoryBytes !== undefined) {
    fields.push(["Agent itself", `${agentCpuCores.toFixed(2)} cores, ${formatBytes(agentMemoryBytes)}`]);
  }
  fields.push(
    ["First joined", formatMoment(agent.joinedAtMs)],
    ["Connected", connectedAtMs === undefined ? "no" : `since ${formatMoment(connectedAtMs)}`],
    ["Last seen", formatMoment(agent.lastSeenAtMs)],
  );
  const columns = [{ title: "REPLICASET", text: (row: ReplicaView) => row.replicaSet }, ...replicaColumns];
  return formatFields(fields, look) + heading("Replicas", look) + formatTable(agent.replicas, columns, look);
}

function healthOf({ health, damped, cordoned, draining }: AgentView): string {
  const words: string[] = [health];
  if (damped) words.push(`damped until ${formatMoment(damped.untilMs)} (others are asked first)`);
  if (draining) words.push("drained (what it runs moves to others)");
  else if (cordoned) words.push("cordoned (takes no new replicas)");
  return words.join(", ");
}

function describeReplicaSet(set: ReplicaSetView, look: Look): string {
  const fields: [string, string][] = [
    ["Name", set.name],
    ["Version", `${set.version} (revision ${set.revision})`],
    ["Owner", set.owner === "file" ? "the configuration file" : "deployed by a client"],
    ["Replicas", `${set.ready} ready of ${set.wanted}${asked(set.replicas)}`],
    ["Requests", `${set.outstanding} running, ${set.queued} queued`],
    ["Endpoints", set.endpoints.join("\n") || "none known yet"],
  ];
  if (set.pendingReason) fields.push(["Pending", set.pendingReason]);
  if (set.rollout) {
    const { state, fromRevision, toRevision, ready, total, reason } = set.rollout;
    const { weight } = set.rollout;
    const stage = weight === undefined ? "" : ` with ${weight} % of the requests`;
    const from = fromRevision === 0 ? "" : `${fromRevision} → `;
    fields.push([
      "Rollout",
      `${from}${toRevision}: ${state}${stage}, ${ready}/${total} ready${reason ? `\n${reason}` : ""}`,
    ]);
  }
  const columns = [{ title: "AGENT", text: (row: ReplicaView) => row.agent }, ...replicaColumns];
  return formatFields(fields, look) + heading("Replicas", look) + formatTable(set.placements, columns, look);
}

function describeRevision(detail: RevisionDetailView, look: Look): string {
  const fields: [string, string][] = [
    ["ReplicaSet", detail.replicaSet],
    ["Revision", `${detail.revision}${detail.current ? ", the current one" : ""}`],
    ["Created", `${formatMoment(detail.createdAtMs)} by ${detail.createdBy}`],
    ...(detail.failure === undefined ? [] : [["Failed", detail.failure] satisfies [string, string]]),
    ...detail.specification.map(({ path, after }): [string, string] => [path, after ?? ""]),
  ];
  const lines = diffLines(detail.changes);
  const changes = detail.before === undefined
    ? "no revision before it is kept"
    : lines.length === 0
    ? "nothing"
    : lines.map(printable).join("\n");
  const title = detail.before === undefined ? "Changes" : `Changes from revision ${detail.before}`;
  return `${formatFields(fields, look)}${heading(title, look)}${changes}\n`;
}

function asked(replicas: ReplicaCount): string {
  if (replicas === "all") return " (all agents)";
  return typeof replicas === "object" ? ` (by load, ${replicas.min} to ${replicas.max})` : "";
}

function describeEndpoint(endpoint: EndpointView, look: Look): string {
  const ms = (value: number | undefined) => value === undefined ? "-" : formatMs(value);
  const fields: [string, string][] = [
    ["Endpoint", endpoint.endpoint],
    ["Description", endpoint.description ?? "-"],
    ["Revision", String(endpoint.revision)],
    ["Replies", endpoint.stream ? "part by part (--stream)" : "at once"],
    ["Ready replicas", String(endpoint.readyReplicas)],
    ["Requests", `${endpoint.outstanding} running, ${endpoint.queued} waiting`],
    ["Timeout", endpoint.timeoutMs === undefined ? "its replicaSet's" : formatMs(endpoint.timeoutMs)],
    [
      "Idempotent",
      endpoint.idempotent === undefined ? "as its replicaSet" : endpoint.idempotent ? "yes" : "no",
    ],
    [
      "Rate",
      `${formatRate(endpoint.requestsPerSecond)} requests/s, ${
        formatRate(endpoint.errorsPerSecond)
      } errors/s`,
    ],
    ["Latency", `p50 ${ms(endpoint.p50Ms)}, p95 ${ms(endpoint.p95Ms)}, p99 ${ms(endpoint.p99Ms)}`],
    [
      "Total",
      `${counted(endpoint.totalRequests, "request")}, ${counted(endpoint.totalErrors, "error")} since ${
        formatMoment(endpoint.totalsSinceMs)
      }, when the manager started`,
    ],
  ];
  if (endpoint.input) fields.push(["Input", JSON.stringify(endpoint.input, null, 2)]);
  return formatFields(fields, look);
}

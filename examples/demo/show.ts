/** What the demo prints when its work is done: pure, from outcomes and the manager's overview to text. */
import {
  type Column,
  formatBytes,
  formatMs,
  formatPairs,
  formatTable,
  type Look,
} from "../../lib/cli/tables.ts";
import type { AgentView, OverviewView } from "../../lib/protocol/views.ts";
import type { Outcome } from "./work.ts";

interface EndpointRow {
  endpoint: string;
  count: number;
  wrong: number;
  medianMs: number;
  slowestMs: number;
  agents: string[];
}

/** A line for each endpoint: how much was asked of it, what came back, and which agents its replicas are on. */
export function workTable(outcomes: Outcome[], overview: OverviewView, look: Look): string {
  const endpoints = [...new Set(outcomes.map(({ endpoint }) => endpoint))].sort();
  const rows = endpoints.map((endpoint): EndpointRow => {
    const mine = outcomes.filter((outcome) => outcome.endpoint === endpoint);
    const times = mine.map(({ totalMs }) => totalMs).sort((a, b) => a - b);
    const set = overview.replicaSets.find(({ name }) => name === endpoint.split("/")[0]);
    return {
      endpoint,
      count: mine.length,
      wrong: mine.filter(({ problem }) => problem !== undefined).length,
      medianMs: times[Math.floor(times.length / 2)],
      slowestMs: times[times.length - 1],
      agents: set?.placements.map(({ agent }) => agent).sort() ?? [],
    };
  });
  const columns: Column<EndpointRow>[] = [
    { title: "ENDPOINT", text: ({ endpoint }) => endpoint },
    { title: "REPLIES", text: ({ count }) => String(count), right: true },
    {
      title: "RIGHT",
      text: ({ count, wrong }) => String(count - wrong),
      right: true,
      tone: ({ wrong }) => wrong === 0 ? "good" : "bad",
    },
    { title: "MEDIAN", text: ({ medianMs }) => formatMs(medianMs), right: true },
    { title: "SLOWEST", text: ({ slowestMs }) => formatMs(slowestMs), right: true },
    { title: "REPLICAS ON", text: ({ agents }) => agents.join(", "), flexible: true },
  ];
  return formatTable(rows, columns, look);
}

/** A line for each agent: what it runs and what that costs. */
export function agentTable(overview: OverviewView, look: Look): string {
  const own = ({ labels }: AgentView) =>
    Object.fromEntries(Object.entries(labels).filter(([key]) => key === "zone"));
  const columns: Column<AgentView>[] = [
    { title: "AGENT", text: ({ name }) => name },
    {
      title: "HEALTH",
      text: ({ health }) => health,
      tone: ({ health }) => health === "ready" ? "good" : "bad",
    },
    { title: "LABELS", text: (agent) => formatPairs(own(agent)) },
    { title: "AGENT MEMORY", text: ({ agentMemoryBytes = 0 }) => formatBytes(agentMemoryBytes), right: true },
    {
      title: "REPLICAS MEMORY",
      text: ({ replicas }) => formatBytes(replicas.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)),
      right: true,
    },
    {
      title: "REPLICAS",
      text: ({ replicas }) =>
        replicas.map(({ replicaSet, revision }) => `${replicaSet}@${revision}`).sort().join(" "),
      flexible: true,
    },
  ];
  return formatTable(overview.agents, columns, look);
}

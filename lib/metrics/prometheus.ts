/**
 * `/metrics` in Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
 * A pure function of a snapshot. Counters start at zero with the manager, as Prometheus expects.
 */
import { type ErrorCode, errorTable } from "../errors.ts";
import type { AgentView } from "../protocol/views.ts";
import { type Ingest, otherEndpoints } from "./ingest.ts";
import { durationBoundsS, type EndpointSeries } from "./series.ts";

/** The media type of what `renderPrometheus()` returns. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/** One endpoint's totals since the manager's start. */
export interface EndpointTotals {
  endpoint: string;
  byCode: { code: "ok" | ErrorCode; count: number }[];
  /** Counts per bound of `durationBoundsS`, and beyond the last; not cumulative. */
  durationCounts: number[];
  durationSumS: number;
}

export interface PrometheusSnapshot {
  version: string;
  endpoints: EndpointTotals[];
  queues: { replicaSet: string; depth: number }[];
  agents: Pick<
    AgentView,
    | "name"
    | "health"
    | "damped"
    | "flapPenalty"
    | "slots"
    | "outstanding"
    | "host"
    | "agentCpuCores"
    | "agentMemoryBytes"
    | "replicas"
  >[];
  /** Requests the agents ran, as they count them. */
  agentRuns: { agent: string; runs: number; failed: number }[];
  clients: number;
  manager: {
    startedAtMs: number;
    cpuSeconds: number;
    memoryBytes: number;
    /** Undefined where the system doesn't tell. */
    diskWrittenBytes: number | undefined;
    databaseBytes: number;
  };
}

type Labels = Record<string, string>;
/** One line: labels and value, with a suffix to the metric's name where a histogram needs it. */
type Sample = [labels: Labels, value: number, suffix?: string];

/** What `ingest` adds to a snapshot. */
export function totalsOf(ingest: Ingest): Pick<PrometheusSnapshot, "endpoints" | "queues" | "agentRuns"> {
  const all: [string, EndpointSeries][] = [...ingest.endpoints, [otherEndpoints, ingest.other]];
  return {
    endpoints: all.map(([endpoint, series]) => totalsOfEndpoint(endpoint, series))
      .filter(({ byCode }) => byCode.length > 0),
    queues: [...ingest.queues].map(([replicaSet, { depth }]) => ({ replicaSet, depth })),
    agentRuns: [...ingest.agents].map(([agent, { runsTotal, runErrorsTotal }]) => ({
      agent,
      runs: runsTotal,
      failed: runErrorsTotal,
    })),
  };
}

/** The whole page, ending with a line feed. */
export function renderPrometheus(snapshot: PrometheusSnapshot): string {
  return [requestFamilies(snapshot), agentFamilies(snapshot), managerFamilies(snapshot)].join("");
}

function requestFamilies({ endpoints, queues }: PrometheusSnapshot): string {
  const counts = endpoints.flatMap(({ endpoint, byCode }) =>
    byCode.map(({ code, count }): Sample => [{ endpoint, code }, count])
  );
  const durations = endpoints.flatMap(durationSamples);
  const depths = queues.map(({ replicaSet, depth }): Sample => [{ replicaset: replicaSet }, depth]);
  return [
    family("sqwish_requests_total", "counter", "Requests by endpoint and outcome.", counts),
    family(
      "sqwish_request_duration_seconds",
      "histogram",
      "Time from admission to outcome, of admitted requests.",
      durations,
    ),
    family("sqwish_queue_depth", "gauge", "Requests waiting for a free slot.", depths),
  ].join("");
}

type Agent = PrometheusSnapshot["agents"][number];

/** One gauge per agent each; an agent that doesn't tell has no line. */
const agentGauges: [name: string, help: string, valueOf: (agent: Agent) => number | undefined][] = [
  ["sqwish_agent_cpu_ratio", "Share of all cores in use.", ({ host }) => host?.cpu],
  ["sqwish_agent_load1", "Load average of one minute.", ({ host }) => host?.load1],
  ["sqwish_agent_memory_used_bytes", "Memory in use on the machine.", ({ host }) => host?.memoryUsedBytes],
  ["sqwish_agent_memory_total_bytes", "Memory of the machine.", ({ host }) => host?.memoryTotalBytes],
  ["sqwish_agent_temperature_celsius", "The hottest sensor.", ({ host }) => host?.temperatureC],
  [
    "sqwish_agent_throttled",
    "1 while the machine slows itself down.",
    ({ host }) => asNumber(host?.throttled),
  ],
  [
    "sqwish_agent_damped",
    "1 while others are asked first, since it was lost again and again.",
    ({ damped }) => damped ? 1 : 0,
  ],
  [
    "sqwish_agent_flap_penalty",
    "Its losses, each of which weighs half as much after two minutes.",
    ({ flapPenalty }) => flapPenalty ?? 0,
  ],
  ["sqwish_agent_slots", "Requests it takes at once.", ({ slots }) => slots],
  ["sqwish_agent_outstanding", "Requests it is running.", ({ outstanding }) => outstanding],
  [
    "sqwish_agent_process_cpu_cores",
    "Cores of the agent without runners.",
    ({ agentCpuCores }) => agentCpuCores,
  ],
  [
    "sqwish_agent_process_memory_bytes",
    "Memory of the agent without runners.",
    ({ agentMemoryBytes }) => agentMemoryBytes,
  ],
];

function agentFamilies({ agents, agentRuns }: PrometheusSnapshot): string {
  const byHealth = (["ready", "suspect", "lost"] as const).map((health): Sample => [
    { health },
    agents.filter((agent) => agent.health === health).length,
  ]);
  const gauges = agentGauges.map(([name, help, valueOf]) => {
    const samples = agents.flatMap((agent): Sample[] => {
      const value = valueOf(agent);
      return value === undefined ? [] : [[{ agent: agent.name }, value]];
    });
    return family(name, "gauge", help, samples);
  });
  const runs = agentRuns.flatMap(({ agent, runs, failed }): Sample[] => [
    [{ agent, result: "ok" }, runs - failed],
    [{ agent, result: "failed" }, failed],
  ]);
  const replicas = Map.groupBy(
    agents.flatMap((agent) => agent.replicas),
    ({ replicaSet, state }) => JSON.stringify({ replicaset: replicaSet, state }),
  );
  const replicaCounts = [...replicas].map(([labels, { length }]): Sample => [JSON.parse(labels), length]);
  const restarts = agents.flatMap(({ name, replicas }) =>
    replicas.map((replica): Sample => [
      { agent: name, replicaset: replica.replicaSet, revision: String(replica.revision) },
      replica.restarts,
    ])
  );
  return [
    family("sqwish_agents", "gauge", "Known agents by health.", byHealth),
    family("sqwish_replicas", "gauge", "Replicas by state.", replicaCounts),
    family("sqwish_replica_restarts_total", "counter", "Runners that were started again.", restarts),
    ...gauges,
    family("sqwish_agent_runs_total", "counter", "Requests the agent ran, by result.", runs),
  ].join("");
}

function managerFamilies({ clients, manager, version }: PrometheusSnapshot): string {
  const startedAtS = manager.startedAtMs / 1000;
  const written = manager.diskWrittenBytes;
  return [
    family("sqwish_clients", "gauge", "Connected clients.", [[{}, clients]]),
    family("sqwish_build_info", "gauge", "The manager's version, as a label.", [[{ version }, 1]]),
    family("process_start_time_seconds", "gauge", "Start of the manager since 1970.", [[{}, startedAtS]]),
    family("process_cpu_seconds_total", "counter", "CPU time of the manager.", [[{}, manager.cpuSeconds]]),
    family("process_resident_memory_bytes", "gauge", "Memory of the manager.", [[{}, manager.memoryBytes]]),
    family(
      "sqwish_manager_disk_written_bytes_total",
      "counter",
      "What the manager had written to disks.",
      written === undefined ? [] : [[{}, written]],
    ),
    family("sqwish_manager_database_bytes", "gauge", "The manager's database with its log.", [
      [{}, manager.databaseBytes],
    ]),
  ].join("");
}

function asNumber(flag: boolean | undefined): number | undefined {
  return flag === undefined ? undefined : Number(flag);
}

function totalsOfEndpoint(endpoint: string, series: EndpointSeries): EndpointTotals {
  const wires = Object.entries(errorTable).map(([code, { wire }]) => ({ code: code as ErrorCode, wire }));
  const byCode = [{ code: "ok" as const, wire: 0 }, ...wires]
    .map(({ code, wire }) => ({ code, count: series.totalByCode[wire] }))
    .filter(({ count }) => count > 0);
  const durationCounts = Array.from(series.totalByDuration);
  return { endpoint, byCode, durationCounts, durationSumS: series.totalDurationS };
}

/** The histogram's lines: cumulative buckets, sum and count, with `le` last. */
function durationSamples({ endpoint, durationCounts, durationSumS }: EndpointTotals): Sample[] {
  let cumulative = 0;
  const buckets = durationCounts.map((count, at): Sample => {
    cumulative += count;
    return [{ endpoint, le: String(durationBoundsS[at] ?? "+Inf") }, cumulative, "_bucket"];
  });
  return [...buckets, [{ endpoint }, durationSumS, "_sum"], [{ endpoint }, cumulative, "_count"]];
}

/** A metric with all its lines; nothing at all when it has none. */
function family(
  name: string,
  type: "counter" | "gauge" | "histogram",
  help: string,
  samples: Sample[],
): string {
  if (samples.length === 0) return "";
  const lines = samples.map(([labels, value, suffix = ""]) =>
    `${name}${suffix}${labelText(labels)} ${value}\n`
  );
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

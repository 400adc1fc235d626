/**
 * What history costs the disk: the manager's own ingest and store on a real folder, a clock that is moved by hand, five
 * busy agents and twenty endpoints. Prints bytes written per hour as the kernel counts them, how large the database is,
 * and how long the dashboard's questions to it take.
 *
 *   deno run -A bench/micro/history.ts [agents] [endpoints] [hours]
 */
import { DatabaseSync } from "node:sqlite";
import { History } from "../../lib/metrics/history.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { Ingest } from "../../lib/metrics/ingest.ts";
import { readDiskWritten } from "../../lib/metrics/process_meter.ts";
import { queryMetrics } from "../../lib/metrics/query.ts";
import { limits } from "../../lib/limits.ts";
import { encodeMessage, type Telemetry } from "../../lib/protocol/messages.ts";
import { createSeededRandom } from "../../lib/random.ts";
import type { RequestOutcome } from "../../lib/request_outcome.ts";
import { databasePath } from "../../lib/store/data_folder.ts";
import { openStore, type Store } from "../../lib/store/store.ts";
import { databaseBytes, endMinute } from "./disk.ts";

const [agentCount = 5, endpointCount = 20, hours = 48] = Deno.args.map(Number);
const random = createSeededRandom(1);
const scratch = new Histogram();
const agents = Array.from({ length: agentCount }, (_, at) => `agent-${at}`);
const endpoints = Array.from({ length: endpointCount }, (_, at) => `set-${at % 5}/endpoint${at}`);
const folder = await Deno.makeTempDir({ prefix: "sqwish-history-", dir: Deno.env.get("BENCH_DIR") });
/** A prime number of different seconds, made once: making them takes longer than storing them. */
const variety = 997;
const runsPerSecond = 3;

/** One second of an agent's telemetry: each endpoint a few times, run times around a mean of its own. */
function makeTelemetry(busy: boolean): Telemetry {
  return {
    type: "telemetry",
    sequence: 1,
    host: {
      cpu: busy ? random.next() : 0.02,
      load1: 1,
      memoryUsedBytes: 1e9 + (busy ? random.next() * 1e8 : 0),
      memoryTotalBytes: 4e9,
      temperatureC: 50,
    },
    agentCpuCores: 0.01,
    agentMemoryBytes: 6e7,
    replicas: Array.from({ length: 5 }, (_, handle) => ({
      handle: handle + 1,
      outstanding: 0,
      runners: 1,
      cpuCores: 0.1,
      memoryBytes: 5e7,
      restarts: 0,
    })),
    endpoints: busy ? endpoints.map((endpoint, at) => makeSample(endpoint, at)) : [],
  };
}

function makeSample(endpoint: string, at: number): Telemetry["endpoints"][number] {
  scratch.clear();
  for (let run = 0; run < runsPerSecond; run++) scratch.observe(runUs(at));
  return { endpoint, revision: 1, count: runsPerSecond, errors: 0, latency: scratch.toJSON() };
}

function makeOutcome(endpoint: string, at: number): RequestOutcome {
  const us = runUs(at);
  return {
    endpoint,
    replicaSet: endpoint.split("/")[0],
    revision: 1,
    agent: agents[0],
    code: "ok",
    queueMs: 0,
    totalMs: us / 1000 + 1,
    runUs: us,
    requester: "bench",
    number: 1,
    message: "",
  };
}

function mib(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(2)} MiB`;
}

function runUs(at: number): number {
  return (at + 1) * 1000 * (0.5 + random.next() + random.next() ** 8 * 5);
}

interface Found {
  perHour: number;
  sizeBytes: number;
  /** What each minute's end takes, which writes, rolls up and drops; the slowest last. */
  flushMs: number[];
}

/** The manager's second tick, and what `keepLogShort()` does each minute. */
function run(busy: boolean, hoursRun: number, asks: boolean): Found {
  const path = `${folder}/${busy ? "busy" : "idle"}`;
  const store = openStore({ folder: path, serving: true });
  const history = new History(store.samples);
  let nowMs = 1_800_000_000_000;
  const ingest = new Ingest(history, nowMs);
  const telemetries = Array.from({ length: variety }, () => makeTelemetry(busy));
  const outcomes = busy ? Array.from({ length: variety }, () => endpoints.map(makeOutcome)) : [];
  const flushMs: number[] = [];
  const second = (at: number) => {
    for (const [index, agent] of agents.entries()) {
      ingest.observeTelemetry(agent, telemetries[(at * 7 + index * 131) % variety], nowMs);
    }
    for (const outcome of outcomes[(at * 3) % variety] ?? []) ingest.observeRequest(outcome);
    nowMs += 1000;
    const isMinute = nowMs % limits.sampleFlushMs === 0;
    const before = isMinute ? performance.now() : 0;
    ingest.tick(nowMs);
    if (!isMinute) return;
    flushMs.push(performance.now() - before);
    endMinute(store, path);
  };
  // The first half fills the tables, so that what is dropped for its age is counted too.
  const seconds = hoursRun * 3600;
  let written = 0;
  for (let at = 0; at < seconds; at++) {
    if (at === Math.floor(seconds / 2)) written = readDiskWritten()!;
    second(at);
  }
  const perHour = (readDiskWritten()! - written) / (hoursRun / 2);
  if (asks) ask(store, history, ingest, nowMs);
  const sizeBytes = databaseBytes(path);
  store.close();
  if (asks) tellGrowth(databasePath(path), hoursRun);
  return { perHour, sizeBytes, flushMs: flushMs.sort((left, right) => left - right) };
}

/** What a day of each resolution takes; 10 s samples are kept for one, 5 min samples for thirty. */
function tellGrowth(database: string, hoursRun: number): void {
  using sqlite = new DatabaseSync(database);
  const perDay = (table: string, hoursKept: number) => {
    const { bytes } = sqlite.prepare(`SELECT sum(length(block)) AS bytes FROM ${table}`).get()!;
    return mib(Number(bytes) / Math.min(hoursRun, hoursKept) * 24);
  };
  console.log(`  a day by 10 s: ${perDay("sample_minutes", 25)}; by 5 min: ${perDay("sample_hours", 720)}`);
}

/** How long the manager's thread takes for one answer; the first of each finds no page in memory. */
function ask({ samples }: Store, history: History, ingest: Ingest, nowMs: number): void {
  console.log(`  ${samples.subjects().length} subjects; answers, first and median of 5:`);
  const hourMs = 3600_000;
  const questions: [name: string, series: string, subject: string | undefined, spanMs: number][] = [
    ["latency of one endpoint, 4 h by 10 s", "latency", endpoints[0], 4 * hourMs],
    ["latency of one endpoint, 24 h by 5 min", "latency", endpoints[0], 24 * hourMs],
    ["latency of one endpoint, 30 d", "latency", endpoints[0], 720 * hourMs],
    ["latency of the cluster, 30 d", "latency", undefined, 720 * hourMs],
    ["requests of all endpoints, 1 h", "requests", undefined, hourMs],
    ["requests of all endpoints, 24 h", "requests", undefined, 24 * hourMs],
    ["requests of all endpoints, 30 d", "requests", undefined, 720 * hourMs],
    ["CPU of all agents, 24 h", "cpu", undefined, 24 * hourMs],
    ["latency of all agents, 24 h", "agentLatency", undefined, 24 * hourMs],
  ];
  for (const [name, series, subject, spanMs] of questions) {
    const times = Array.from({ length: 5 }, () => {
      const before = performance.now();
      const { columns } = queryMetrics({ series, subject, fromMs: nowMs - spanMs, toMs: nowMs }, {
        ingest,
        history,
      });
      if (columns.length === 0) throw new Error(`There must be ${name}, is none`);
      return performance.now() - before;
    });
    const median = times.toSorted((left, right) => left - right)[2];
    console.log(`    ${name}: ${times[0].toFixed(1)} ms, ${median.toFixed(1)} ms`);
  }
}

try {
  console.log(`${agentCount} agents, ${endpointCount} endpoints, each called every second:`);
  const busy = run(true, hours, true);
  const idle = run(false, Math.min(hours, 8), false);
  console.log(`  written per hour: ${mib(busy.perHour)}; database after ${hours} h: ${mib(busy.sizeBytes)}`);
  const flushMs = (share: number) => busy.flushMs[Math.floor(share * (busy.flushMs.length - 1))].toFixed(1);
  console.log(
    `  a minute's end: median ${flushMs(0.5)} ms, p99 ${flushMs(0.99)} ms, slowest ${flushMs(1)} ms`,
  );
  console.log(`  idle: written per hour: ${mib(idle.perHour)}; database: ${mib(idle.sizeBytes)}`);
  const bytes = (busy: boolean) => new TextEncoder().encode(encodeMessage(makeTelemetry(busy))).length * 60;
  console.log(`  telemetry per agent and minute: idle ${bytes(false)} bytes, busy ${bytes(true)} bytes`);
} finally {
  await Deno.remove(folder, { recursive: true });
}

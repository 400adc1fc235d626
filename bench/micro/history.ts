/**
 * What a day of history costs the disk: the manager's own ingest and store on a real folder, a clock that is moved by
 * hand, five busy agents and twenty endpoints. Prints bytes written per hour, as the kernel counts them, and how large
 * the database is after a day and with its 30 days full.
 *
 *   deno run -A bench/micro/history.ts [agents] [endpoints] [hours]
 */
import { Ingest } from "../../lib/metrics/ingest.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { encodeMessage, type Telemetry } from "../../lib/protocol/messages.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { databasePath } from "../../lib/store/data_folder.ts";
import { openStore } from "../../lib/store/store.ts";

const [agentCount = 5, endpointCount = 20, hours = 24] = Deno.args.map(Number);
const random = createSeededRandom(1);
const scratch = new Histogram();
const agents = Array.from({ length: agentCount }, (_, at) => `agent-${at}`);
const endpoints = Array.from({ length: endpointCount }, (_, at) => `set-${at % 5}/endpoint${at}`);
const folder = await Deno.makeTempDir({ prefix: "sqwish-history-", dir: Deno.env.get("BENCH_DIR") });

/** One second of an agent's telemetry: each endpoint a few times, run times around a mean of its own. */
function telemetry(busy: boolean): Telemetry {
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
    endpoints: busy ? endpoints.map((endpoint, at) => sample(endpoint, at)) : [],
  };
}

function sample(endpoint: string, at: number): Telemetry["endpoints"][number] {
  scratch.clear();
  for (let run = 0; run < 3; run++) scratch.observe(runUs(at));
  return { endpoint, revision: 1, count: 3, errors: 0, latency: scratch.toJSON() };
}

const runUs = (at: number) => (at + 1) * 1000 * (0.5 + random.next() + random.next() ** 8 * 5);

/** Bytes this process has had written to disks, as the kernel counts them. */
async function writtenBytes(): Promise<number> {
  const text = await Deno.readTextFile("/proc/self/io");
  return Number(/^write_bytes: (\d+)/m.exec(text)?.[1]);
}

async function run(busy: boolean, hoursRun: number): Promise<{ perHour: number; sizeBytes: number }> {
  const path = `${folder}/${busy ? "busy" : "idle"}`;
  const store = openStore({ folder: path });
  let nowMs = 1_800_000_000_000;
  const ingest = new Ingest(store.samples, nowMs);
  const second = () => {
    for (const agent of agents) ingest.observeTelemetry(agent, telemetry(busy), nowMs);
    for (const [at, endpoint] of busy ? endpoints.entries() : []) {
      const us = runUs(at);
      ingest.observeRequest({
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
      });
    }
    nowMs += 1000;
    ingest.tick(nowMs);
  };
  for (let warm = 0; warm < 600; warm++) second();
  const before = await writtenBytes();
  for (let at = 0; at < hoursRun * 3600; at++) second();
  const perHour = (await writtenBytes() - before) / hoursRun;
  store.close();
  const { size } = await Deno.stat(databasePath(path));
  return { perHour, sizeBytes: size };
}

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(2)} MiB`;

try {
  const busy = await run(true, hours);
  const idle = await run(false, Math.min(hours, 4));
  console.log(`${agentCount} agents, ${endpointCount} endpoints, each called every second:`);
  console.log(`  written per hour: ${mib(busy.perHour)}; database after ${hours} h: ${mib(busy.sizeBytes)}`);
  console.log(`  idle: written per hour: ${mib(idle.perHour)}; database: ${mib(idle.sizeBytes)}`);
  const bytes = (busy: boolean) => new TextEncoder().encode(encodeMessage(telemetry(busy))).length * 60;
  console.log(`  telemetry per agent and minute: idle ${bytes(false)} bytes, busy ${bytes(true)} bytes`);
} finally {
  await Deno.remove(folder, { recursive: true });
}

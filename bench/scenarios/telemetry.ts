/** What it costs to know how everything is: the manager's CPU and disk, the network, and a request's share. */
import { join } from "node:path";
import { DemoCluster } from "../../examples/demo/cluster.ts";
import { openCountingRelay } from "../counting_relay.ts";
import { cpuUsOf, diskWrittenOf } from "../measure.ts";
import { type PeerContext, startModule } from "../peers/peer.ts";
import type { AgentsJob } from "../peers/sqwish/agents.ts";
import { pause, runToEnd, type Session, withContext } from "../session.ts";
import type { SimulatedJob } from "../simulated.ts";
import { median, short, table } from "../statistics.ts";
import type { Goal, Scenario } from "./scenario.ts";

interface Standing {
  agents: number;
  /** Whether every endpoint runs on every agent every second, as the agents tell. */
  busy: boolean;
  /** Of one core. */
  managerCpuPercent: number;
  /** Bytes of TCP per agent and minute, TLS included. */
  upPerAgentMinute: number;
  downPerAgentMinute: number;
  /** MiB per hour; missing where the kernel doesn't tell. */
  diskMibPerHour?: number;
}

interface Request {
  telemetry: boolean;
  ns: number;
}

export interface TelemetryResult {
  standing: Standing[];
  requests: Request[];
}

const sets = 5;
const functions = ["one", "two", "three", "four"];
/** Joining takes a hundred times what telemetry does. */
const settleMs = 30_000;
/** History is written once within it, as a minute of the clock ends. */
const windowMs = 60_000;
const simulated: SimulatedJob = { agents: 50, endpoints: 20, queued: 0, requests: 500_000 };

export const telemetry: Scenario<TelemetryResult> = {
  name: "telemetry",
  title: "The cost of telemetry",
  async run(session) {
    const standing: Standing[] = [];
    const requests: Request[] = [];
    const cases = session.quick
      ? [{ agents: 2, busy: true }]
      : [{ agents: 0, busy: false }, { agents: 50, busy: false }, { agents: 50, busy: true }, {
        agents: 5,
        busy: true,
      }];
    for (let round = 1; round <= session.rounds; round++) {
      for (const each of session.wants("standing") ? cases : []) {
        standing.push(await measureStanding(session, each.agents, each.busy));
      }
      for (const on of round % 2 === 1 ? [true, false] : [false, true]) {
        if (session.wants("requests")) requests.push(await measureRequest(session, on));
      }
    }
    return { standing, requests };
  },
  section(result) {
    const rows = medians(result.standing);
    return {
      text: `${standingText(rows)}\n\n${requestText(result.requests)}`,
      plots: [],
      goals: goalsOf(rows),
    };
  },
};

function standingText(rows: readonly Standing[]): string {
  const kib = (bytes: number) => short(bytes / 1024);
  return `A manager with ${sets} replicaSets of ${functions.length} functions, each on every agent. The agents are
real in all that they say, over TLS connections of their own, and have no runners; \"busy\" ones tell each second that each
of the ${sets * functions.length} endpoints ran. The network's bytes are all that TCP carries, TLS included.

${
    table(
      [
        "agents",
        "",
        "manager's CPU, % of a core",
        "KiB per agent and minute, up",
        "down",
        "disk, MiB an hour",
      ],
      rows.map((row) => [
        ...[String(row.agents), row.busy ? "busy" : "idle", short(row.managerCpuPercent)],
        ...[kib(row.upPerAgentMinute), kib(row.downPerAgentMinute)],
        row.diskMibPerHour === undefined ? "not told" : short(row.diskMibPerHour),
      ]),
    )
  }

k3s documents 25 to 30 % of a core of a Raspberry Pi 4 for its server with a workload, and 10 % for each agent
([resource profiling](https://docs.k3s.io/reference/resource-profiling)); that is other hardware than this.`;
}

function requestText(requests: readonly Request[]): string {
  if (requests.length === 0) return "";
  const us = (telemetry: boolean) =>
    median(requests.filter((each) => each.telemetry === telemetry).map(({ ns }) => ns / 1000));
  const [on, off] = [us(true), us(false)];
  return `What a request costs the manager's core, without network, with its outcome counted in the metrics and without:
the same program, alternating, ${short(simulated.requests / 1000)} thousand requests each.

${table(["", "µs per request"], [["counted", on.toFixed(2)], ["not counted", off.toFixed(2)]])}`;
}

async function measureStanding(session: Session, agents: number, busy: boolean): Promise<Standing> {
  return await withContext(session, async (context) => {
    const cluster = await startManager(context);
    try {
      await using relay = openCountingRelay(cluster.manager.port);
      if (agents > 0) await startAgents(context, cluster, relay.address, agents, busy);
      await pause(session, session.quick ? 100 : settleMs);
      const manager = [cluster.programs[0].pid];
      const ms = session.quick ? 1500 : windowMs;
      const read = () => ({ ...relay.bytes, cpuUs: cpuUsOf(manager), disk: diskWrittenOf(manager[0]) });
      const before = read();
      await pause(session, ms);
      const after = read();
      const perAgentMinute = (bytes: number) => agents === 0 ? 0 : bytes / agents * 60_000 / ms;
      const found: Standing = {
        ...{ agents, busy, managerCpuPercent: (after.cpuUs - before.cpuUs) / ms / 10 },
        upPerAgentMinute: perAgentMinute(after.up - before.up),
        downPerAgentMinute: perAgentMinute(after.down - before.down),
        ...(before.disk === undefined || after.disk === undefined
          ? {}
          : { diskMibPerHour: (after.disk - before.disk) / 2 ** 20 * 3600_000 / ms }),
      };
      session.say(
        `${agents} ${busy ? "busy" : "idle"} agents: ${short(found.managerCpuPercent)} % of a core, ` +
          `${short(found.upPerAgentMinute)} bytes up per agent and minute`,
      );
      return found;
    } finally {
      await cluster.close();
    }
  });
}

async function startManager({ folder, programs, interrupted }: PeerContext): Promise<DemoCluster> {
  const configuration = join(folder, "cluster.json");
  const source = functions.map((name) => `export function ${name}() {}\n`).join("");
  await Deno.writeTextFile(join(folder, "module.ts"), source);
  const replicaSets = Array.from({ length: sets }, (_, at) => ({
    ...{ name: `set-${at}`, version: "1.0.0", modules: ["./module.ts"], replicas: "all" },
  }));
  await Deno.writeTextFile(configuration, JSON.stringify({ cluster: "bench", replicaSets }));
  return await DemoCluster.start({ programs, folder, configuration, agents: [], interrupted });
}

/** Resolves when all have joined and run all they shall. */
async function startAgents(
  context: PeerContext,
  cluster: DemoCluster,
  address: string,
  count: number,
  busy: boolean,
): Promise<void> {
  const { agentToken: token } = cluster.manager;
  const job: AgentsJob = { token, address, count, functions, perSecond: busy ? 1 : 0 };
  await startModule(context, "agents", "sqwish/agents.ts", job, 120_000);
  for (const endMs = performance.now() + 120_000;;) {
    context.interrupted.throwIfAborted();
    const { agents, replicaSets } = await cluster.overview();
    const joined = agents.filter(({ health }) => health === "ready").length;
    if (joined === count && replicaSets.every(({ ready }) => ready === count)) return;
    if (performance.now() > endMs) throw new Error(`${count} agents must be ready, ${joined} are`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function measureRequest(session: Session, on: boolean): Promise<Request> {
  return await withContext(session, async (context) => {
    const module = join(import.meta.dirname!, "..", "simulated.ts");
    const command = [Deno.execPath(), "run", "--quiet", "-A", module];
    const job: SimulatedJob = { ...simulated, uncounted: !on, ...(session.quick ? { requests: 2000 } : {}) };
    const { ns } = JSON.parse(await runToEnd(context, "simulated", command, [JSON.stringify(job)]));
    session.say(`${on ? "counted" : "not counted"}: ${(ns / 1000).toFixed(2)} µs per request`);
    return { telemetry: on, ns };
  });
}

function medians(standing: readonly Standing[]): Standing[] {
  const cases = Map.groupBy(standing, ({ agents, busy }) => `${agents} ${busy}`);
  return [...cases.values()].map((found) => {
    const of = (read: (one: Standing) => number) => median(found.map(read));
    const disk = found.flatMap(({ diskMibPerHour }) => diskMibPerHour ?? []);
    return {
      ...{ agents: found[0].agents, busy: found[0].busy },
      managerCpuPercent: of((one) => one.managerCpuPercent),
      upPerAgentMinute: of((one) => one.upPerAgentMinute),
      downPerAgentMinute: of((one) => one.downPerAgentMinute),
      ...(disk.length === 0 ? {} : { diskMibPerHour: median(disk) }),
    };
  });
}

function goalsOf(rows: readonly Standing[]): Goal[] {
  const goals: Goal[] = [];
  const idle = rows.find(({ agents, busy }) => agents === 50 && !busy);
  if (idle) {
    goals.push({
      ...{ work: "manager's CPU, 50 idle agents", goal: "under 5 % of a core" },
      ...{ measured: `${short(idle.managerCpuPercent)} %`, reached: idle.managerCpuPercent < 5 },
    });
  }
  const disk = rows.find(({ agents, busy }) => agents === 5 && busy)?.diskMibPerHour;
  if (disk !== undefined) {
    goals.push({
      ...{ work: "written to disk, 5 agents, 20 busy endpoints", goal: "under 20 MiB an hour" },
      ...{ measured: `${short(disk)} MiB`, reached: disk < 20 },
    });
  }
  return goals;
}

/** What the manager takes: idle with more and more connections, and with a long queue. */
import { cpuUsOf, type Memory, memoryOf } from "../measure.ts";
import { type PeerContext, startModule } from "../peers/peer.ts";
import { type BenchCluster, startCluster, startEcho } from "../peers/sqwish/cluster.ts";
import { linePlot } from "../plot.ts";
import { pause, type Session, withContext } from "../session.ts";
import { median, short, table } from "../statistics.ts";
import type { Goal, Scenario } from "./scenario.ts";

interface Idle extends Memory {
  connections: number;
  /** Of one core. */
  cpuPercent: number;
}

interface Queued {
  requests: number;
  before: Memory;
  after: Memory;
}

export interface MemoryResult {
  idle: Idle[];
  queued: Queued[];
}

/** Garbage of the start and of the handshakes is collected, or at least no longer made, after this long. */
const settleMs = 10_000;
/** Of a manager that does nothing: many ticks of 10 ms are needed for a share. */
const cpuWindowMs = 10_000;
const samples = 5;

export const memory: Scenario<MemoryResult> = {
  name: "memory",
  title: "The manager's memory and idle CPU",
  async run(session) {
    const counts = session.quick ? [0, 10] : [0, 100, 1000, 5000];
    const idle: Idle[] = [];
    const queued: Queued[] = [];
    for (let round = 1; round <= session.rounds; round++) {
      for (const connections of counts) {
        if (session.wants("idle")) idle.push(await measureIdle(session, connections));
      }
      if (session.wants("queued")) queued.push(await measureQueued(session, session.quick ? 200 : 100_000));
    }
    return { idle, queued };
  },
  section(result) {
    const idle = idleMedians(result.idle);
    const points = idle.map(({ connections, pssMb }) => ({ x: connections, y: pssMb }));
    const rss = idle.map(({ connections, rssMb }) => ({ x: connections, y: rssMb }));
    return {
      text:
        `A manager with two agents and one small replicaSet. The connections are authenticated clients over TLS that do
nothing but answer the manager's pings; \"RSS\" counts what is shared with other processes whole, \"PSS\" in parts.

${
          table(
            ["connections", "RSS MiB", "PSS MiB", "CPU, % of a core"],
            idle.map((each) => [
              ...[String(each.connections), short(each.rssMb), short(each.pssMb), short(each.cpuPercent)],
            ]),
          )
        }

Requests of 64 B that wait in the queue, all answered by nobody:

${queuedTable(result.queued)}`,
      plots: points.length < 2 ? [] : [{
        name: "memory-connections",
        title: "The manager's memory by idle connections",
        svg: linePlot("The manager's memory", { x: "idle connections", y: "MiB" }, [
          { series: "RSS", points: rss },
          { series: "PSS", points },
        ]),
      }],
      goals: goalsOf(idle, result.queued),
    };
  },
};

async function measureIdle(session: Session, connections: number): Promise<Idle> {
  return await withContext(session, async (context) => {
    const started = await startEcho(context);
    try {
      if (connections > 0) {
        const job = { token: started.cluster.manager.clientToken, count: connections };
        await startModule(context, "connections", "sqwish/connections.ts", job, 300_000);
      }
      await pause(session, session.quick ? 100 : settleMs);
      const windowMs = session.quick ? 200 : cpuWindowMs;
      const before = cpuUsOf(started.processes.pids.broker);
      await pause(session, windowMs);
      const cpuPercent = (cpuUsOf(started.processes.pids.broker) - before) / windowMs / 10;
      const found = { connections, ...memoryOf(started.processes.pids.broker), cpuPercent };
      session.say(`idle, ${connections} connections: ${inWords(found)}, ${short(cpuPercent)} % of a core`);
      return found;
    } finally {
      await started.close();
    }
  });
}

async function measureQueued(session: Session, requests: number): Promise<Queued> {
  return await withContext(session, async (context) => {
    const set = { queue: { max: 1_000_000 }, concurrency: 1, timeoutMs: 3600_000 };
    const started = await startCluster(context, "hold.ts", set);
    try {
      const before = await calm(session, started);
      await queueUp(context, started, requests);
      const after = await calm(session, started);
      session.say(`${requests} queued requests: from ${inWords(before)} to ${inWords(after)}`);
      return { requests, before, after };
    } finally {
      await started.close();
    }
  });
}

async function queueUp(context: PeerContext, { cluster }: BenchCluster, requests: number): Promise<void> {
  const job = { token: cluster.manager.clientToken, count: requests + 2, bytes: 64 };
  await startModule(context, "waiting", "sqwish/waiting.ts", job, 300_000);
  const { replicaSets } = await cluster.overview();
  const queued = replicaSets[0].queued;
  if (queued < requests) throw new Error(`${requests} requests must wait in the queue, ${queued} do`);
}

/** The median of some readings once nothing happens any more. */
async function calm(session: Session, { processes }: BenchCluster): Promise<Memory> {
  await pause(session, session.quick ? 100 : settleMs);
  const readings: Memory[] = [];
  for (let count = 0; count < samples; count++) {
    readings.push(memoryOf(processes.pids.broker));
    await pause(session, session.quick ? 10 : 500);
  }
  return {
    rssMb: median(readings.map((each) => each.rssMb)),
    pssMb: median(readings.map((each) => each.pssMb)),
  };
}

function idleMedians(idle: readonly Idle[]): Idle[] {
  return [...new Set(idle.map(({ connections }) => connections))].map((connections) => {
    const found = idle.filter((each) => each.connections === connections);
    const of = (read: (one: Idle) => number) => median(found.map(read));
    return {
      connections,
      rssMb: of((one) => one.rssMb),
      pssMb: of((one) => one.pssMb),
      cpuPercent: of((one) => one.cpuPercent),
    };
  });
}

function grownMb(queued: readonly Queued[]): number {
  return median(queued.map(({ before, after }) => after.rssMb - before.rssMb));
}

function queuedTable(queued: readonly Queued[]): string {
  if (queued.length === 0) return "not measured";
  const bytes = grownMb(queued) * 1024 * 1024 / queued[0].requests;
  const [before, after] = [queued.map((each) => each.before), queued.map((each) => each.after)];
  return table(["requests", "RSS before MiB", "RSS with them MiB", "bytes per request"], [[
    ...[String(queued[0].requests), short(median(before.map(({ rssMb }) => rssMb)))],
    ...[short(median(after.map(({ rssMb }) => rssMb))), short(bytes)],
  ]]);
}

function goalsOf(idle: readonly Idle[], queued: readonly Queued[]): Goal[] {
  const goals: Goal[] = [];
  const add = (work: string, goal: string, mb: number | undefined, below: number) => {
    if (mb === undefined) return;
    goals.push({ work, goal, measured: `${short(mb)} MiB`, reached: mb < below });
  };
  const rssAt = (connections: number) => idle.find((each) => each.connections === connections)?.rssMb;
  const [none, thousand] = [rssAt(0), rssAt(1000)];
  add("manager's memory, idle", "under 75 MB", none, 75);
  if (none !== undefined && thousand !== undefined) {
    add("manager's memory, 1,000 idle connections", "under +40 MB", thousand - none, 40);
  }
  const full = queued.filter(({ requests }) => requests === 100_000);
  if (full.length > 0) add("manager's memory, 100,000 queued requests", "under +120 MB", grownMb(full), 120);
  return goals;
}

function inWords({ rssMb, pssMb }: Memory): string {
  return `RSS ${short(rssMb)} MiB, PSS ${short(pssMb)} MiB`;
}

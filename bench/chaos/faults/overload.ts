/** More than there is room for: requests, connections, joins. */
import { overviewOf } from "../../../tests/support/deploying.ts";
import { eventually } from "../../../tests/support/eventually.ts";
import { type Done, type Fault, pause } from "../fault.ts";
import { memoryOf } from "../../measure.ts";
import { median } from "../../statistics.ts";
import type { Sent } from "../../steady_load.ts";
import { filesMax, type JoinJob, startJoining } from "../joiner.ts";
import { kill, type Stage } from "../stage.ts";

/** What a manager may take for a full queue and its clients. */
const moreMibMax = 64;

interface Flood {
  name: string;
  seconds: number;
  /** What each request allows. */
  timeoutMs: number;
  queueMax: number;
  isLong?: true;
}

/** Three agents, one request at a time, 20 ms each. */
const capacityPerSecond = 150;
/** What it reaches of that on a machine that has also the flood to send. */
const answeredPerSecond = capacityPerSecond / 3;
/** What the flood must get of that, beside a load that has the same turns, on a machine that is slow at the time. */
const inTimePerSecondMin = capacityPerSecond / 10;

function overload({ name, seconds, timeoutMs, queueMax, isLong }: Flood): Fault {
  const own = { errors: ["queue_full" as const], answeredMin: 0.01, load: { perSecond: 50, timeoutMs } };
  return {
    ...own,
    name,
    isLong,
    title: `ten times the capacity for ${seconds} s, with ${timeoutMs / 1000} s to answer`,
    seen: "what is admitted is answered in time, the rest is refused at once with `queue_full`",
    // With a queue that is far shorter than the deadline nothing may be late; else the moments in which everything
    // here waits for a core have their share, and a queue that is merely full has nearly all of them late. How it is
    // without such moments: tests/simulation/admission_scenarios_test.ts.
    ...(isShort({ timeoutMs, queueMax }) ? {} : { lateMax: 0.2 }),
    stage: { concurrency: 1, queueMax },
    run: (stage) => flooded(stage, seconds, timeoutMs),
  };
}

function isShort({ timeoutMs, queueMax }: Pick<Flood, "timeoutMs" | "queueMax">): boolean {
  return queueMax / answeredPerSecond * 1000 < timeoutMs;
}

export const overloadFaults: Fault[] = [
  overload({ name: "overload", seconds: 10, timeoutMs: 10_000, queueMax: 200 }),
  overload({ name: "overload-minute", seconds: 60, timeoutMs: 10_000, queueMax: 200, isLong: true }),
  overload({ name: "overload-2s", seconds: 15, timeoutMs: 2000, queueMax: 1000 }),
  overload({ name: "overload-500ms", seconds: 15, timeoutMs: 500, queueMax: 1000 }),
  {
    name: "join-storm",
    title: "500 clients that join at once",
    seen: "nothing",
    answeredMin: 1,
    load: { perSecond: 50 },
    run: (stage) =>
      withJoined(
        stage,
        500,
        500,
        ({ atMs, tookMs }) => Promise.resolve({ atMs, figures: { allInMs: tookMs } }),
      ),
  },
  {
    name: "idle-connections",
    title: "agent killed (SIGKILL) with 5,000 idle clients, of whom 500 have joined at once",
    seen: "as with few clients",
    errors: ["agent_lost"],
    answeredMin: 0.95,
    load: { perSecond: 50 },
    stage: { under: (name) => name === "manager" ? { prefix: ["prlimit", `--nofile=${filesMax}`] } : {} },
    run: idle,
  },
];

async function flooded(stage: Stage, seconds: number, timeoutMs: number): Promise<Done> {
  const atMs = Date.now();
  const before = managerMib(stage);
  let most = before;
  // A connection of its own: the queue is fair between clients.
  const flood = stage.load({ perSecond: 10 * capacityPerSecond, timeoutMs }, await stage.cluster.connect());
  const timer = setInterval(() => most = Math.max(most, managerMib(stage)), 200);
  let sent: Sent[];
  try {
    await pause(seconds * 1000);
    sent = await flood.stop();
  } finally {
    clearInterval(timer);
  }
  const refusedMs: number[] = [];
  let [admitted, inTime] = [0, 0];
  for (const { sentAtMs, outcome } of sent) {
    if (outcome?.error?.code === "queue_full") refusedMs.push(outcome.atMs - sentAtMs);
    else {
      admitted++;
      if (outcome && !outcome.error) inTime++;
    }
  }
  const figures = {
    flooded: sent.length,
    admitted,
    inTime,
    refused: refusedMs.length,
    refusedMedianMs: median(refusedMs),
    managerMibBefore: Math.round(before),
    managerMibMost: Math.round(most),
  };
  const { refusedMedianMs, managerMibBefore, managerMibMost } = figures;
  const isWell = inTime >= inTimePerSecondMin * seconds && refusedMs.length > sent.length / 2 &&
    refusedMedianMs < 100 && managerMibMost - managerMibBefore < moreMibMax;
  if (!isWell) {
    throw new Error(`the flood must be answered, refused at once and bounded: ${JSON.stringify(figures)}`);
  }
  return { atMs, figures };
}

function managerMib({ cluster }: Stage): number {
  return memoryOf([cluster.manager.pid]).rssMb;
}

interface Joined {
  atMs: number;
  /** Until the last was in. */
  tookMs: number;
}

/** Clients in a process of their own, so that what it takes is not felt by the load; they leave after `meanwhile`. */
async function withJoined(
  stage: Stage,
  count: number,
  atOnce: number,
  meanwhile: (joined: Joined) => Promise<Done>,
): Promise<Done> {
  const { url, adminPassword: password } = stage.cluster;
  const before = (await overviewOf(stage.sqwish)).cluster.clients;
  const job: JoinJob = { url, password, caPem: await stage.cluster.caPem(), count, atOnce };
  const atMs = Date.now();
  const joiner = startJoining(job);
  try {
    await eventually(`${count} clients are in`, async () => {
      if (joiner.status) throw new Error(`the clients have ended:\n${joiner.output}`);
      return (await overviewOf(stage.sqwish)).cluster.clients - before >= count;
    }, 180_000);
    return await meanwhile({ atMs, tookMs: Date.now() - atMs });
  } finally {
    await joiner.end("SIGKILL");
  }
}

function idle(stage: Stage): Promise<Done> {
  const before = managerMib(stage);
  return withJoined(
    stage,
    4500,
    50,
    ({ tookMs: firstInMs }) =>
      withJoined(stage, 500, 500, async ({ tookMs: atOnceInMs }) => {
        const kibPerClient = (managerMib(stage) - before) * 1024 / 5000;
        const atMs = Date.now();
        await kill(stage.cluster.agents.get("agent-2")!);
        const noticed = await stage.event("agent_lost", "agent-2", atMs);
        stage.cluster.startAgent("agent-2");
        await stage.whole();
        const { clients } = (await overviewOf(stage.sqwish)).cluster;
        if (clients < 5000) throw new Error(`all of 5000 clients must have stayed, ${clients} have`);
        const figures = { firstInMs, atOnceInMs, kibPerClient: Math.round(kibPerClient) };
        return { atMs, noticedMs: noticed.atMs - atMs, figures };
      }),
  );
}

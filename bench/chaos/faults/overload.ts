/** More than there is room for: requests, readers that don't read, connections, joins, open files. */
import { connect, type Sqwish } from "../../../client.ts";
import { overviewOf } from "../../../tests/support/deploying.ts";
import { eventually } from "../../../tests/support/eventually.ts";
import { type Done, type Fault, pause } from "../fault.ts";
import { type JoinJob, startJoining } from "../joiner.ts";
import { residentBytes, type Stage } from "../stage.ts";

const MiB = 1024 * 1024;
const overloadMs = 20_000;
const openFilesMax = 64;

export const overloadFaults: Fault[] = [
  {
    name: "overload",
    title: "ten times the capacity for 20 s",
    seen: "what is admitted is answered in time, the rest is refused at once with `queue_full`",
    errors: ["queue_full"],
    // Three agents, one request at a time, 20 ms each.
    load: { perSecond: 100, timeoutMs: 10_000 },
    stage: { concurrency: 1, queueMax: 200 },
    run: overload,
  },
  {
    name: "join-storm",
    title: "500 clients that join at once",
    seen: "nothing",
    run: (stage) => join(stage, 500, 500),
  },
  {
    name: "idle-connections",
    title: "5,000 clients that are connected and idle",
    seen: "nothing",
    isLong: true,
    run: (stage) => join(stage, 5000, 50),
  },
  {
    name: "open-files",
    title: `manager with ${openFilesMax} open files at most, and 100 clients`,
    seen: "those who are connected are served, those who come later wait until there is room",
    stage: { under: (name) => name === "manager" ? { prefix: ["prlimit", `--nofile=${openFilesMax}`] } : {} },
    run: tooManyClients,
  },
];

async function overload(stage: Stage): Promise<Done> {
  const atMs = Date.now();
  const before = residentBytes(stage.cluster.manager.pid);
  let most = before;
  const timer = setInterval(() => most = Math.max(most, residentBytes(stage.cluster.manager.pid)), 200);
  const flood = stage.load({ perSecond: 1500, timeoutMs: 10_000 });
  await pause(overloadMs);
  const sent = await flood.stop();
  clearInterval(timer);
  const refusedMs: number[] = [];
  let [admitted, inTime] = [0, 0];
  for (const { sentAtMs, outcome } of sent) {
    if (outcome?.error?.code === "queue_full") refusedMs.push(outcome.atMs - sentAtMs);
    else {
      admitted++;
      if (outcome && !outcome.error) inTime++;
    }
  }
  refusedMs.sort((a, b) => a - b);
  if (inTime < 0.8 * admitted) {
    throw new Error(`what is admitted must be in time, ${inTime} of ${admitted} were`);
  }
  return {
    atMs,
    figures: {
      flooded: sent.length,
      admitted,
      inTime,
      refused: refusedMs.length,
      refusedMedianMs: refusedMs[refusedMs.length >> 1],
      managerMibBefore: Math.round(before / MiB),
      managerMibMost: Math.round(most / MiB),
    },
  };
}

/** In a process of its own, so that what it takes is not felt by the load. */
async function join(stage: Stage, count: number, atOnce: number): Promise<Done> {
  const { url, adminPassword: password, ready } = stage.cluster;
  const before = residentBytes(stage.cluster.manager.pid);
  const job: JoinJob = { url, password, fingerprint: ready.fingerprint, count, atOnce };
  const atMs = Date.now();
  const joiner = startJoining(job);
  try {
    await eventually(`${count} clients are in`, async () => {
      return (await overviewOf(stage.sqwish)).cluster.clients >= count;
    }, 180_000);
    const allInMs = Date.now() - atMs;
    await pause(2000);
    const managerMib = Math.round((residentBytes(stage.cluster.manager.pid) - before) / MiB);
    return { atMs, figures: { allInMs, managerMibMore: managerMib } };
  } finally {
    await joiner.end("SIGKILL");
  }
}

async function tooManyClients(stage: Stage): Promise<Done> {
  const atMs = Date.now();
  const tries = await Promise.allSettled(Array.from({ length: 100 }, () => connectOnce(stage, 1000)));
  const joined = tries.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  await Promise.all(joined.map((one) => one.close()));
  if (joined.length === 100) throw new Error("the limit must have been reached, all of 100 got in");
  const { output } = stage.cluster.manager;
  if (!/open files.*\n[^]*no room for more connections/.test(output)) {
    throw new Error(`the manager must tell of its limit, it said:\n${output}`);
  }
  const later = await eventually("there is room again", () => connectOnce(stage, 1000), 20_000);
  await later.close();
  return { atMs, figures: { joined: joined.length } };
}

async function connectOnce(stage: Stage, connectTimeoutMs: number): Promise<Sqwish> {
  const { url, adminPassword: password, ready } = stage.cluster;
  return await connect({
    ...{ url, user: "admin", password, fingerprint: ready.fingerprint },
    ...{ profileFile: false, connectTimeoutMs },
  });
}

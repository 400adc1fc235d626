/** Few open files: for the manager, and for an agent with its runners. */
import { connect, type Sqwish } from "../../../client.ts";
import { deploy, deployed, overviewOf, setOf } from "../../../tests/support/deploying.ts";
import { eventually } from "../../../tests/support/eventually.ts";
import type { Done, Fault } from "../fault.ts";
import type { Stage, StageOptions } from "../stage.ts";

const openFilesMax = 64;
const victim = "agent-2";
/** More than so few open files have room for. */
const setsMany = 10;

/** A stage on which this program may have few open files. */
function limited(program: string): StageOptions {
  return { under: (name) => name === program ? { prefix: ["prlimit", `--nofile=${openFilesMax}`] } : {} };
}

export const fileFaults: Fault[] = [
  {
    name: "open-files",
    title: `manager with ${openFilesMax} open files at most, and 100 clients`,
    seen: "those who are connected are served, those who come later wait until there is room",
    answeredMin: 1,
    stage: limited("manager"),
    run: tooManyClients,
  },
  {
    name: "agent-open-files",
    title: `agent and its runners with ${openFilesMax} open files at most, and ${setsMany} more sets`,
    seen:
      "what has no room there is not ready, and says why; a function that opens too many fails; the rest goes on",
    answeredMin: 1,
    load: { perSecond: 50 },
    stage: limited(victim),
    run: tooManySets,
  },
];

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
  const later = await eventually("there is room again", () => connectOnce(stage, 5000), 60_000);
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

async function tooManySets(stage: Stage): Promise<Done> {
  const { sqwish, ledger } = stage;
  const { output } = stage.cluster.agents.get(victim)!;
  if (!/limit on open files leaves room for few runners/.test(output)) {
    throw new Error(`the agent must tell of its limit, it said:\n${output}`);
  }
  await deployed(sqwish, "files", { "files.ts": opener }, {
    ...{ replicas: "all", permissions: { read: [ledger] }, env: { LEDGER: ledger } },
  });
  const atMs = Date.now();
  const opened = await Promise.allSettled(Array.from({ length: 60 }, () => sqwish.invoke("files/open", 100)));
  const failures = opened.flatMap((one) => one.status === "rejected" ? [String(one.reason)] : []);
  if (failures.length === 0 || !failures.every((text) => /Too many open files/.test(text))) {
    throw new Error(`functions that open too many files there must fail, they said: ${failures.join("; ")}`);
  }
  const names = Array.from({ length: setsMany }, (_, index) => `more-${index}`);
  for (const name of names) {
    await deploy(sqwish, name, { "one.ts": "export const one = () => 1;" }, { replicas: "all" });
  }
  const reason = await eventually("a replica has no room and says so", () => reasonOf(stage), 60_000);
  for (const name of names) await sqwish.call("DELETE", `/v1/replicasets/${name}`);
  await deploy(sqwish, "later", { "one.ts": "export const one = () => 1;" }, { replicas: "all" });
  await eventually("there is room again", async () => (await setOf(sqwish, "later"))?.ready === 3, 60_000);
  for (const name of ["later", "files"]) await sqwish.call("DELETE", `/v1/replicasets/${name}`);
  if (!/LimitNOFILE/.test(reason)) throw new Error(`the reason must say what to do, it is: ${reason}`);
  return { atMs, figures: { failed: failures.length } };
}

const opener = `import type { Context } from "sqwish";
export function open(count: number, ctx: Context) {
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < count) files.push(Deno.openSync(ctx.env.LEDGER));
    return files.length;
  } finally {
    for (const file of files) file.close();
  }
}
`;

/** What stands against a replica on the agent with few open files, or ended the rollout that wanted it there. */
async function reasonOf({ sqwish }: Stage): Promise<string | undefined> {
  const { replicaSets } = await overviewOf(sqwish);
  const reasons = replicaSets.flatMap(({ placements, rollout }) => [
    ...placements.filter(({ agent }) => agent === victim).map(({ reason }) => reason),
    rollout?.reason?.includes(victim) ? rollout.reason : undefined,
  ]);
  return reasons.find((reason) => reason !== undefined && /open files/.test(reason));
}

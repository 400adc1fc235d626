/**
 * Rollouts on real processes under steady load, each at 80 % of what its replicas can do: a good revision, two bad ones,
 * a drain with a restart, a scale down. Shared by `bench/rollouts.ts`, which repeats them, and by a test that runs each once.
 */
import type { Sqwish } from "../../client.ts";
import type { Cluster } from "../../tests/support/cluster.ts";
import { deployed, deployRequest, setOf } from "../../tests/support/deploying.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { type Sent, SteadyLoad } from "../steady_load.ts";

export interface TrialResult {
  requests: number;
  failed: number;
  /** Failed, or took more than three times as long as usual and 100 ms more. */
  touched: number;
  /** The longest time the load's own process was held up, ms. */
  stalledMs: number;
  /** From the deployment to the undo, of a bad revision. */
  undoneMs?: number;
  /** Why it was undone, in the manager's words. */
  reason?: string;
}

/** Seconds of load before and after the change. */
export interface Pace {
  before: number;
  after: number;
}

export type Trial = (cluster: Cluster, sqwish: Sqwish, pace: Pace) => Promise<TrialResult>;

const workMs = 50;
const slots = 4;
const calibrationMs = 2000;
const patienceMs = 60_000;
const set = { replicas: 2, concurrency: slots, timeoutMs: 10_000 };
const policy = { minReadyMs: 1000, deadlineMs: 60_000 };

/** Requests per second that are 80 % of what so many replicas do here and now. */
async function rateFor(sqwish: Sqwish, replicas: number): Promise<number> {
  const endMs = performance.now() + calibrationMs;
  let done = 0;
  await Promise.all(Array.from({ length: replicas * slots }, async () => {
    for (; performance.now() < endMs; done++) await sqwish.invoke("jobs/work", 0);
  }));
  return Math.floor(done / calibrationMs * 1000 * 0.8);
}

/** A module whose one function waits for a while, `extra` for all or a share of its requests. */
function worker(word: string, { ms = workMs, failing = 0 } = {}): Record<string, string> {
  return {
    "work.ts": `let count = 0;
      export async function work(n: number) {
        await new Promise((done) => setTimeout(done, ${ms}));
        if (Math.floor(++count * ${failing}) > Math.floor((count - 1) * ${failing})) throw new Error("as told");
        return { n, word: ${JSON.stringify(word)} };
      }`,
  };
}

/** Runs `change` under load with some load before and after it. */
async function underLoad(
  sqwish: Sqwish,
  replicas: number,
  pace: Pace,
  change: () => Promise<Partial<TrialResult> | void>,
): Promise<TrialResult> {
  const perSecond = await rateFor(sqwish, replicas);
  const steady = new SteadyLoad(sqwish, { endpoint: "jobs/work", perSecond, input: () => 1 });
  await eventually("there is load", () => steady.ended > pace.before * perSecond, patienceMs);
  const findings = await change();
  const enough = steady.ended + pace.after * perSecond;
  await eventually("the load goes on", () => steady.ended > enough, patienceMs);
  return { ...countOf(await steady.stop()), stalledMs: Math.round(steady.stalledMs), ...findings };
}

function countOf(sent: readonly Sent[]): Omit<TrialResult, "stalledMs"> {
  // What never got its outcome took for ever.
  const tookMs = ({ sentAtMs, outcome }: Sent) => (outcome?.atMs ?? Infinity) - sentAtMs;
  const times = sent.map(tookMs).sort((left, right) => left - right);
  const usualMs = times[Math.floor(times.length / 2)];
  const slowMs = Math.max(3 * usualMs, usualMs + 100);
  const failures = sent.filter(({ outcome }) => !outcome || outcome.error);
  const slow = sent.filter((one) => one.outcome && !one.outcome.error && tookMs(one) > slowMs).length;
  const [first] = failures;
  return {
    requests: sent.length,
    failed: failures.length,
    touched: failures.length + slow,
    ...(first === undefined ? {} : { reason: first.outcome?.error?.message ?? "no outcome" }),
  };
}

async function deployBase(sqwish: Sqwish, replicas: number): Promise<void> {
  await deployed(sqwish, "jobs", worker(`base ${crypto.randomUUID()}`), {
    ...set,
    replicas,
    rollout: policy,
  });
}

/** A good revision takes the place of another. */
const goodRevision: Trial = async (_cluster, sqwish, pace) => {
  await deployBase(sqwish, 2);
  return await underLoad(sqwish, 2, pace, async () => {
    await deployed(sqwish, "jobs", worker("good"), { ...set, version: "2", rollout: policy });
  });
};

/** A bad one is undone by what it does. */
function badRevision(flaw: { ms?: number; failing?: number }): Trial {
  return async (_cluster, sqwish, pace) => {
    await deployBase(sqwish, 2);
    return await underLoad(sqwish, 2, pace, async () => {
      const startedMs = performance.now();
      const request = deployRequest("jobs", worker("bad", flaw), { ...set, version: "bad", rollout: policy });
      const { json } = await sqwish.call("POST", "/v1/replicasets", request);
      const { revision } = json as { revision: number };
      const rollout = await eventually("the bad revision is undone", async () => {
        const rollout = (await setOf(sqwish, "jobs"))?.rollout;
        return rollout?.toRevision === revision && rollout.state === "failed" ? rollout : null;
      }, patienceMs);
      const undoneMs = performance.now() - startedMs;
      await eventually("only the good one serves", async () => {
        const { placements } = (await setOf(sqwish, "jobs"))!;
        return placements.every((each) => each.revision !== revision);
      }, patienceMs);
      return { undoneMs, reason: rollout.reason };
    });
  };
}

/** One agent is drained, stopped, started again, and takes part again. */
const drainAndRestart: Trial = async (cluster, sqwish, pace) => {
  await deployBase(sqwish, 2);
  return await underLoad(sqwish, 2, pace, async () => {
    const [busy] = (await setOf(sqwish, "jobs"))!.placements.filter(({ state }) => state === "ready");
    await sqwish.call("POST", `/v1/agents/${busy.agent}/drain`, {});
    await eventually("the agent is empty", async () => {
      const { json } = await sqwish.call("GET", `/v1/agents/${busy.agent}`);
      return (json as { replicas: unknown[] }).replicas.length === 0;
    }, patienceMs);
    await cluster.agents.get(busy.agent)!.end();
    cluster.startAgent(busy.agent);
    await eventually("the agent is back", async () => {
      const { json } = await sqwish.call("GET", `/v1/agents/${busy.agent}`);
      return (json as { health: string }).health === "ready";
    }, patienceMs);
    await sqwish.call("PUT", `/v1/agents/${busy.agent}/cordon`, { cordoned: false });
  });
};

/** A replica less, under a load that those that stay can bear. */
const scaleDown: Trial = async (_cluster, sqwish, pace) => {
  await deployBase(sqwish, 3);
  return await underLoad(sqwish, 2, pace, async () => {
    await sqwish.call("PUT", "/v1/replicasets/jobs/replicas", { replicas: 2 });
    await eventually("two are left", async () => {
      const { placements } = (await setOf(sqwish, "jobs"))!;
      return placements.length === 2;
    }, patienceMs);
  });
};

export const trials: ReadonlyMap<string, Trial> = new Map([
  ["a good revision", goodRevision],
  ["a drain, and a restart of the agent", drainAndRestart],
  ["a scale down", scaleDown],
  ["a revision that fails 20 %", badRevision({ failing: 0.2 })],
  ["a revision that is 10 times slower", badRevision({ ms: 10 * workMs })],
]);

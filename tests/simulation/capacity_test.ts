/** The adaptive limit in a simulated cluster, measured against the best fixed limit for the same load. */
import assert from "node:assert/strict";
import type { Random } from "../../lib/random.ts";
import { ClusterModel, type ClusterOptions } from "./cluster_model.ts";
import type { ReplicaModelOptions, Work } from "./replica_model.ts";
import { bestStatic } from "./static_limits.ts";

const seed = Number(Deno.env.get("SQWISH_SEED") ?? 1);

function replica(options: Partial<ReplicaModelOptions> = {}): ReplicaModelOptions {
  return {
    cores: 2,
    networkMs: 0.15,
    batchMs: 0.1,
    perRequestMs: 0.025,
    slowness: () => 1,
    ...options,
  };
}

function slowBetween(fromMs: number, toMs: number, factor: number): Partial<ReplicaModelOptions> {
  return { slowness: (nowMs) => nowMs >= fromMs && nowMs < toMs ? factor : 1 };
}

function work(cpuMs: number, waitMs = 0, lateCpuMs = 0): () => Work {
  return () => ({ cpuMs, waitMs, lateCpuMs });
}

/** One of these at random, each as likely. */
function anyOf(...kinds: (() => Work)[]): (random: Random) => Work {
  return (random) => kinds[Math.floor(random.next() * kinds.length)]();
}

const echo = work(0.03);
const compute = work(50);
const wait = work(0.03, 200);

/** In steady state, that is in the second half: throughput as a share of the most, and how slow beside the best limit. */
function compare(options: Omit<ClusterOptions, "seed">, untilMs: number, staticMs = 6000) {
  const best = bestStatic({ seed, ...options }, staticMs);
  const model = new ClusterModel({ seed, ...options }).run(untilMs);
  const fromMs = untilMs / 2;
  return {
    model,
    share: model.perSecond(fromMs, untilMs) / best.most,
    slower: model.quantileMs(0.5, fromMs, untilMs) / best.medianMs,
    slots: model.slotsOf(0, fromMs, untilMs),
  };
}

function assertBetween(value: number, min: number, max: number, what: string): void {
  assert.ok(value >= min && value <= max, `${what} is ${value}, not ${min} to ${max} (SQWISH_SEED=${seed})`);
}

Deno.test("an echo gets hundreds of slots, since batches on the wire grow", () => {
  const echoing = { replicas: [replica({ perRequestMs: 0.012 })], loads: [{ outstanding: 600, work: echo }] };
  const { share, slots } = compare(echoing, 1500, 300);
  assertBetween(share, 0.88, 1.1, "throughput");
  assertBetween(Math.min(...slots), 90, 1024, "the lowest limit");
});

Deno.test("an echo with few in flight is not held back", () => {
  const { share } = compare({ replicas: [replica()], loads: [{ outstanding: 16, work: echo }] }, 1000, 300);
  assertBetween(share, 0.97, 1.05, "throughput");
});

for (const cores of [1, 2, 4, 8]) {
  Deno.test(`a function that computes for 50 ms gets the ${cores} slots of its cores, but for trials`, () => {
    const { share, slots } = compare(
      { replicas: [replica({ cores })], loads: [{ outstanding: 50, work: compute }] },
      16_000,
    );
    assertBetween(share, 0.95, 1.05, "throughput");
    assert.equal(slots.toSorted((a, b) => a - b)[slots.length >> 1], cores);
    assertBetween(Math.max(...slots), cores, Math.ceil(cores * 1.5), "the highest limit");
  });
}

Deno.test("a function that waits for 200 ms has hundreds in flight after a second", () => {
  const model = new ClusterModel({ seed, replicas: [replica()], loads: [{ outstanding: 600, work: wait }] })
    .run(4000);
  assertBetween(model.slotsOf(0, 1000, 1100)[0], 200, 1024, "the limit after a second");
  assertBetween(model.perSecond(2000, 4000), 2850, 3100, "requests per second");
  assertBetween(model.quantileMs(0.5, 2000, 4000), 200, 206, "the round trip");
});

Deno.test("requests at a rate are served at that rate, whatever they wait for", () => {
  const model = new ClusterModel({ seed, replicas: [replica()], loads: [{ perSecond: 1500, work: wait }] })
    .run(5000);
  assertBetween(model.perSecond(3000, 5000), 1420, 1580, "requests per second");
  assertBetween(model.quantileMs(0.99, 3000, 5000, "totalMs"), 200, 230, "p99 with the queue");
});

Deno.test("a function that computes after a wait gets few, though its own run time hides the crowd", () => {
  const { share, slower, slots } = compare(
    { replicas: [replica()], loads: [{ outstanding: 200, work: work(0.03, 1, 5) }] },
    16_000,
  );
  assertBetween(share, 0.9, 1.05, "throughput");
  assertBetween(slower, 0.3, 2, "the round trip beside that of the best limit");
  assertBetween(Math.max(...slots), 2, 24, "the highest limit");
});

Deno.test("a mix of echo, computing and waiting has the throughput of the best limit", () => {
  const { share, slower } = compare(
    { replicas: [replica()], loads: [{ outstanding: 100, work: anyOf(echo, compute, wait) }] },
    30_000,
  );
  assertBetween(share, 0.8, 1.05, "throughput");
  assertBetween(slower, 0, 4, "the round trip beside that of the best limit");
});

Deno.test("a mix of echo and waiting has both", () => {
  const { share } = compare(
    { replicas: [replica()], loads: [{ outstanding: 400, work: anyOf(echo, wait) }] },
    6000,
    2000,
  );
  assertBetween(share, 0.9, 1.05, "throughput");
});

Deno.test("a replica half as fast takes half as much", () => {
  const slow = replica({ perRequestMs: 0.05, slowness: () => 2 });
  const { share, model } = compare(
    {
      replicas: [replica(), slow],
      loads: [{ outstanding: 400, work: echo }],
    },
    2000,
    300,
  );
  assertBetween(share, 0.88, 1.05, "throughput");
  const [fast, half] = model.replicas.map(({ done }) => done);
  assertBetween(half / fast, 0.35, 0.65, "the slow one's share");
});

for (
  const [name, kind, outstanding] of [["echo", echo, 400], ["wait", wait, 400], [
    "compute",
    work(5),
    60,
  ]] as const
) {
  Deno.test(`a replica slow for 10 s is as fast as before within 2 s after it: ${name}`, () => {
    const model = new ClusterModel({
      seed,
      replicas: [replica(slowBetween(3000, 13_000, 8))],
      loads: [{ outstanding, work: kind }],
    }).run(17_000);
    const before = model.perSecond(2000, 3000);
    assertBetween(model.perSecond(15_000, 17_000) / before, 0.9, 1.2, "throughput after beside before");
    const slow = model.perSecond(8000, 13_000);
    assertBetween(slow * 8 / before, 0.8, 9, "throughput while slow, beside what is possible");
  });
}

Deno.test("a replica that must compute all of a sudden is down to its cores once what it has is done", () => {
  const model = new ClusterModel({
    seed,
    replicas: [replica()],
    loads: [
      { outstanding: 200, toMs: 4000, work: wait },
      { outstanding: 200, fromMs: 4000, work: compute },
    ],
  }).run(16_000);
  // 200 requests were with the replica already, which takes 5 s for them.
  assertBetween(Math.max(...model.slotsOf(0, 13_000, 16_000)), 2, 4, "the highest limit");
  assertBetween(model.perSecond(8000, 16_000), 37, 41, "requests per second");
});

Deno.test("a limit that nothing needs any more is given back by and by, and comes back at once", () => {
  const model = new ClusterModel({
    seed,
    replicas: [replica()],
    loads: [
      { outstanding: 400, toMs: 4000, work: wait },
      { outstanding: 400, fromMs: 300_000, work: wait },
    ],
  }).run(302_000);
  const learned = model.slotsOf(0, 3900, 4000)[0];
  assertBetween(learned, 400, 1024, "the limit under load");
  assertBetween(model.slotsOf(0, 60_000, 60_100)[0], 200, 1024, "the limit after a minute");
  assert.equal(model.slotsOf(0, 299_000, 299_100)[0], 2);
  assertBetween(model.slotsOf(0, 301_500, 301_600)[0], 200, 1024, "the limit soon after");
});

Deno.test("a configured concurrency stays what it is", () => {
  const model = new ClusterModel({
    seed,
    slots: 3,
    replicas: [replica()],
    loads: [{ outstanding: 100, work: wait }],
  }).run(5000);
  assert.deepEqual(new Set(model.slotsOf(0, 0, 5000)), new Set([3]));
});

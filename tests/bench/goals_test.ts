import assert from "node:assert/strict";
import { goalsOf } from "../../bench/goals.ts";
import type { Measurement } from "../../bench/load.ts";
import type { Circumstances, Findings, Part, Results } from "../../bench/results.ts";
import type { Sample } from "../../bench/scenarios/compare.ts";

function partOf<T>(found: T): Part<T> {
  return { circumstances: {} as Circumstances, found };
}

function sampleOf(peer: string, title: string, perSecond: number, more: Partial<Measurement> = {}): Sample {
  const measurement: Measurement = {
    ...{ requests: perSecond * 2, seconds: 2, p50Us: 100, p99Us: 200 },
    ...{ cpuUs: { broker: 4, client: 1 }, memory: { rssMb: 50, pssMb: 40 } },
    ...more,
  };
  return { peer, case: title, round: 1, measurement };
}

function goalNamed(results: Results, work: string, against = ""): ReturnType<typeof goalsOf>[number] {
  const found = goalsOf(results).filter((goal) => goal.work === work && goal.goal.includes(against));
  assert.equal(found.length, 1, `${found.length} goals are "${work}"`);
  return found[0];
}

Deno.test("`goalsOf()` compares medians of the rounds of one run", () => {
  const title = "64 B, 64 outstanding";
  const throughput = partOf([
    ...[100, 110, 500].map((perSecond) => sampleOf("nats", title, perSecond)),
    ...[20, 331, 330].map((perSecond) => sampleOf("sqwish", title, perSecond)),
  ]);
  const goal = goalNamed({ throughput }, `${title}, TLS`);
  assert.equal(goal.found, "3.00 ×");
  assert.equal(goal.reached, true);
});

Deno.test("`goalsOf()` says when a ratio falls short, and when latency is too high", () => {
  const title = "64 B, 1 outstanding";
  const throughput = partOf([
    sampleOf("nats", title, 100, { p50Us: 100 }),
    sampleOf("sqwish", title, 100, { p50Us: 121 }),
  ]);
  const goal = goalNamed({ throughput }, "p50 of 64 B, 1 outstanding");
  assert.equal(goal.found, "1.21 ×");
  assert.equal(goal.reached, false);
});

Deno.test("`goalsOf()` calls nothing reached that was not measured", () => {
  const alone = partOf([sampleOf("sqwish", "64 B, 64 outstanding", 1000)]);
  for (const results of [{}, { throughput: alone }]) {
    for (const { found, reached } of goalsOf(results)) {
      assert.equal(found, undefined);
      assert.equal(reached, undefined);
    }
  }
});

Deno.test("`goalsOf()` judges the memory of 100,000 waiting requests, and of no other number", () => {
  const queued = (requests: number, rssMb: number): Findings["queued"] => ({
    ...{ requests, before: { rssMb: 60, pssMb: 50 }, waiting: { rssMb, pssMb: rssMb }, bytesEach: 1 },
  });
  const work = "manager memory, more with 100,000 waiting requests";
  assert.equal(goalNamed({ queued: partOf(queued(100_000, 179)) }, work).reached, true);
  assert.equal(goalNamed({ queued: partOf(queued(100_000, 180)) }, work).reached, false);
  assert.equal(goalNamed({ queued: partOf(queued(50, 61)) }, work).reached, undefined);
});

import assert from "node:assert/strict";
import { chanceOfAtLeast, upperBound } from "../../lib/deployment/binomial.ts";
import { type Arm, falseAlarmsMax, judgeEndpoint, noLooks } from "../../lib/deployment/judge.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { rollbackDefault } from "../../lib/protocol/revision.ts";

/** Numbers from 0 to 1 that are the same in every run (Numerical Recipes' linear congruence). */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

function arm(requests: number, errors: number, ms: (index: number) => number = () => 20): Arm {
  const latency = new Histogram();
  for (let index = 0; index < requests - errors; index++) latency.observe(ms(index) * 1000);
  return { requests, errors, latency };
}

function look(before: Arm, after: Arm): string | undefined {
  const arms = { before, after, answered: after.requests };
  return judgeEndpoint("images/resize", arms, rollbackDefault, noLooks(rollbackDefault), 1).objection;
}

/** A rollout's requests one by one, as they would come; how many it took to object, if ever. */
function play(
  random: () => number,
  rates: { before: number; after: number },
  requests: number,
): number | undefined {
  const before = arm(0, 0);
  const after = arm(0, 0);
  let looks = noLooks(rollbackDefault);
  const answer = (to: Arm, rate: number) => {
    to.requests++;
    if (random() < rate) to.errors++;
    else to.latency.observe((10 + 10 * random()) * 1000);
  };
  for (let index = 0; index < 400; index++) answer(before, rates.before);
  for (let count = 1; count <= requests; count++) {
    answer(after, rates.after);
    answer(before, rates.before);
    const judged = judgeEndpoint("a/b", { before, after, answered: count }, rollbackDefault, looks, 1);
    looks = judged.looks;
    if (judged.objection !== undefined) return count;
  }
  return undefined;
}

Deno.test("`chanceOfAtLeast()` is the sum of the binomial's terms", () => {
  const choose = (n: number, k: number): number => k === 0 ? 1 : choose(n, k - 1) * (n - k + 1) / k;
  for (const [n, p] of [[1, 0.3], [10, 0.05], [40, 0.5], [60, 0.95]]) {
    for (let k = 0; k <= n; k++) {
      let sum = 0;
      for (let at = k; at <= n; at++) sum += choose(n, at) * p ** at * (1 - p) ** (n - at);
      assert.ok(Math.abs(chanceOfAtLeast(k, n, p) - sum) < 1e-9, `${k} of ${n} at ${p}`);
    }
  }
  assert.equal(chanceOfAtLeast(5, 4, 0.9), 0);
});

Deno.test("`upperBound()` is the rule of three where nothing failed, and 1 where everything did", () => {
  assert.ok(Math.abs(upperBound(0, 300, 0.05) - 3 / 300) < 2e-4);
  assert.equal(upperBound(7, 7, 0.01), 1);
  assert.ok(upperBound(10, 100, 0.01) > 0.18 && upperBound(10, 100, 0.01) < 0.2);
});

Deno.test("three unlucky requests are no reason to undo a revision", () => {
  assert.equal(look(arm(400, 0), arm(20, 3)), undefined);
  assert.equal(look(arm(30, 0), arm(30, 3)), undefined);
});

Deno.test("a revision that fails a fifth of its requests is objected to, with the figures", () => {
  assert.match(
    look(arm(400, 1), arm(160, 32)) ?? "",
    /^images\/resize failed 32 of 160 requests \(20 %\), 1 of 400 before \(0\.3 %\); at most 5 points more/,
  );
});

Deno.test("a revision that takes ten times as long is objected to after some twenty requests, with the figures", () => {
  assert.match(
    look(arm(400, 0, () => 20), arm(25, 0, () => 200)) ?? "",
    /^images\/resize took \d+ ms at p95 over 25 requests, \d+ ms before over 400; at most 3 times as long/,
  );
});

Deno.test("a few ms more, or a slow old revision of which little is known, are no reasons", () => {
  assert.equal(look(arm(400, 0, () => 1), arm(100, 0, () => 9)), undefined);
  assert.equal(look(arm(30, 0, () => 20), arm(100, 0, () => 200)), undefined);
});

Deno.test("an old revision that failed as much is no better", () => {
  assert.equal(look(arm(400, 80), arm(400, 80)), undefined);
  assert.equal(look(arm(0, 0), arm(400, 80)), undefined);
});

Deno.test("looking again and again raises no more false alarms than promised, at the very edge of what is allowed", () => {
  const random = seeded(11);
  const runs = 300;
  let alarms = 0;
  for (let run = 0; run < runs; run++) {
    if (play(random, { before: 0.02, after: 0.02 + rollbackDefault.errorRate }, 1500) !== undefined) alarms++;
  }
  assert.ok(alarms <= runs * falseAlarmsMax * 2, `${alarms} false alarms in ${runs} rollouts`);
});

Deno.test("a revision that fails a fifth of its requests is found within some hundreds of them, always", () => {
  const random = seeded(12);
  const counts = Array.from({ length: 100 }, () => play(random, { before: 0, after: 0.2 }, 1000));
  assert.ok(counts.every((count) => count !== undefined), "each one is found");
  const median = counts.toSorted((left, right) => left! - right!)[50]!;
  assert.ok(median < 250, `${median} requests`);
});

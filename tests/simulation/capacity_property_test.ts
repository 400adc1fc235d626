/**
 * The adaptive limit under loads that nobody thought of. A failure prints the seed; SQWISH_SEED=… runs it alone,
 * SQWISH_RUNS=… more of them. Of a thousand, one in a hundred has between 0.65 and 0.8 of the best fixed limit's
 * throughput: rare long runs among short ones, on one or two cores, where chance outweighs what a trial shows.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { createSeededRandom, type Random } from "../../lib/random.ts";
import { adaptiveSlotsMax } from "../../lib/scheduling/capacity.ts";
import { ClusterModel, type ClusterOptions } from "./cluster_model.ts";
import type { Work } from "./replica_model.ts";
import { bestStatic } from "./static_limits.ts";

const numRuns = Number(Deno.env.get("SQWISH_RUNS") ?? 8);
const seed = Deno.env.get("SQWISH_SEED");

/** Evenly over the orders of magnitude. */
function between(random: Random, min: number, max: number): number {
  return min * Math.exp(random.next() * Math.log(max / min));
}

function someKind(random: Random): Work & { share: number } {
  const kind = Math.floor(random.next() * 4);
  return {
    cpuMs: kind === 0 ? 0.05 : between(random, 0.1, 60),
    waitMs: kind === 1 ? 0 : between(random, 1, 400),
    lateCpuMs: kind === 2 ? between(random, 0.1, 20) : 0,
    share: 0.2 + random.next(),
  };
}

function someLoad(seed: number): ClusterOptions {
  const random = createSeededRandom(seed);
  const kinds = Array.from({ length: 1 + Math.floor(random.next() * 3) }, () => someKind(random));
  const shares = kinds.reduce((sum, { share }) => sum + share, 0);
  function work(random: Random): Work {
    let left = random.next() * shares;
    return kinds.find(({ share }) => (left -= share) < 0) ?? kinds[0];
  }
  const cores = 2 ** Math.floor(random.next() * 4);
  const networkMs = between(random, 0.05, 20);
  return {
    seed,
    replicas: [{ cores, networkMs, batchMs: 0.1, perRequestMs: 0.1, slowness: () => 1 }],
    loads: [{ outstanding: Math.round(between(random, 20, 400)), work }],
  };
}

Deno.test("whatever the load, a replica is never starved, and its limit stays within bounds", () => {
  const shares: number[] = [];
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000_000 }), (seed) => {
      const options = someLoad(seed);
      const best = bestStatic(options, 6000);
      const model = new ClusterModel(options).run(16_000);
      const share = model.perSecond(8000, 16_000) / best.most;
      shares.push(share);
      assert.ok(share > 0.6, `SQWISH_SEED=${seed}: ${share} of the throughput of ${best.slots} slots`);
      for (const slots of model.slotsOf(0, 0, 16_000)) {
        assert.ok(Number.isInteger(slots) && slots >= 1 && slots <= adaptiveSlotsMax, `${slots} slots`);
      }
    }),
    seed ? { examples: [[Number(seed)]], numRuns: 1 } : { numRuns },
  );
  const median = shares.sort((a, b) => a - b)[shares.length >> 1];
  assert.ok(median > 0.9, `half of the loads have less than ${median} of the best throughput`);
});

Deno.test("the same seed gives the same run", () => {
  const limits = [1, 2].map(() => new ClusterModel(someLoad(7)).run(3000).limits);
  assert.deepEqual(limits[0], limits[1]);
});

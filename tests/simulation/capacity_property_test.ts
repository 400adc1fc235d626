/**
 * The adaptive capacity under arbitrary mixes: what must hold whatever the functions, machines and clients are.
 * Judged after 15 s: with few replies a second and run times far apart, chance can make the first probes wrong.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { adaptiveSlotsMax } from "../../lib/scheduling/capacity.ts";
import { bestStatic, simulate, slotsBetween, throughput } from "./model.ts";

const milliseconds = (max: number) => fc.double({ min: 0.05, max, noNaN: true });
const work = fc.record({
  weight: fc.integer({ min: 1, max: 4 }),
  cpuMs: fc.double({ min: 1, max: 20, noNaN: true }),
  waitMs: fc.oneof(fc.constant(0), milliseconds(200)),
});
const scenario = fc.record({
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  works: fc.array(work, { minLength: 1, maxLength: 3 }),
  cores: fc.integer({ min: 1, max: 8 }),
  clients: fc.integer({ min: 1, max: 300 }),
  networkMs: fc.oneof(fc.constant(0), milliseconds(20)),
});

Deno.test("any mix: the limit stays within its bounds and no mix starves", () => {
  fc.assert(
    fc.property(scenario, ({ cores, networkMs, ...parts }) => {
      const run = { ...parts, replicas: [{ cores, networkMs }], durationMs: 30_000 };
      const observed = simulate(run);
      const { min, max } = slotsBetween(observed, 0, 0, run.durationMs);
      assert.ok(min >= cores && max <= adaptiveSlotsMax, `${min} to ${max} slots`);
      const best = bestStatic(run, 15_000);
      const share = throughput(observed, 15_000, run.durationMs) / best.perSecond;
      assert.ok(share >= 0.66, `${share} of what ${best.slots} fixed slots give`);
    }),
    { numRuns: 15, endOnFailure: true },
  );
});

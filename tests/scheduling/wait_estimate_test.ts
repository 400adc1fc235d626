import assert from "node:assert/strict";
import fc from "fast-check";
import { createSeededRandom } from "../../lib/random.ts";
import { estimateWaitMs, isHopeless } from "../../lib/scheduling/wait_estimate.ts";
import { ClusterModel } from "../simulation/cluster_model.ts";

Deno.test("`estimateWaitMs()` divides what is ahead by what the replicas do together", () => {
  const replicas = [{ slots: 4, servedPerMs: 0.08 }, { slots: 2, servedPerMs: 0.02 }];
  assert.equal(estimateWaitMs(50, replicas), 500);
  assert.equal(estimateWaitMs(0, replicas), 0);
});

Deno.test("a replica of which nothing is known may do it all at once, one without slots does nothing", () => {
  const known = { slots: 4, servedPerMs: 0.1 };
  assert.equal(estimateWaitMs(1000, [known, { slots: 4, servedPerMs: 0 }]), 0);
  assert.equal(estimateWaitMs(1000, [known, { slots: 0, servedPerMs: 0 }]), 10_000);
  assert.equal(estimateWaitMs(1000, []), 0);
});

Deno.test("only what is far too late is hopeless", () => {
  assert.equal(isHopeless(0, 1), false);
  assert.equal(isHopeless(2000, 1000), false);
  assert.equal(isHopeless(3001, 1000), true);
});

Deno.test("of requests in a simulated queue, none that were in time had been called hopeless", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = createSeededRandom(seed);
      const cpuMs = 1 + 30 * random.next();
      const model = new ClusterModel({
        seed,
        replicas: [1, 2].map((slowness) => ({
          cores: 2,
          networkMs: 0.2,
          batchMs: 0.1,
          perRequestMs: 0.02,
          slowness: () => slowness,
        })),
        loads: [{
          outstanding: 20 + Math.floor(random.next() * 400),
          work: () => ({ cpuMs, waitMs: 0, lateCpuMs: 0 }),
        }],
      }).run(3000);
      const waitMs = estimateWaitMs(model.queued, model.replicas.map(({ capacity }) => capacity));
      const { queued } = model;
      const tookMs = model.waitOfNextMs();
      assert.ok(!isHopeless(waitMs, tookMs), `SEED=${seed}: ${waitMs} ms expected, ${tookMs} ms in fact`);
      if (queued > 0) assert.ok(isHopeless(waitMs, tookMs / 12), `${waitMs} of ${tookMs} ms`);
    }),
    { numRuns: 20 },
  );
});

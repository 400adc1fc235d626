import assert from "node:assert/strict";
import fc from "fast-check";
import { adaptiveSlotsMax, Capacity, slotsOf } from "../../lib/scheduling/capacity.ts";

Deno.test("`slotsOf()` takes the agent's word within reason", () => {
  assert.deepEqual([4, 0, -1, 2.7, 1e9].map((reportedSlots) => slotsOf({ reportedSlots })), [
    4,
    0,
    0,
    2,
    4096,
  ]);
});

Deno.test("an adaptive limit starts at the core count, and at one where none is told", () => {
  assert.equal(new Capacity(4, true, 0).slots, 4);
  assert.equal(new Capacity(0, true, 0).slots, 1);
  assert.equal(new Capacity(4000, true, 0).slots, adaptiveSlotsMax);
});

Deno.test("without demand a limit does not grow", () => {
  const capacity = new Capacity(8, true, 0);
  for (let nowMs = 1; nowMs < 5000; nowMs++) assert.equal(capacity.observe(1, 100, 3, false, nowMs), false);
  assert.equal(capacity.slots, 8);
});

Deno.test("with demand and no wait it grows, and `observe()` says so", () => {
  const capacity = new Capacity(2, true, 0);
  let grew = 0;
  for (let nowMs = 1; nowMs < 500; nowMs++) {
    const { slots } = capacity;
    const changed = capacity.observe(0.5, 100, slots, true, nowMs);
    assert.equal(changed, slots !== capacity.slots);
    if (changed) grew++;
  }
  assert.ok(grew > 0 && capacity.slots > 16, `${capacity.slots} slots`);
});

Deno.test("a configured concurrency measures, but never changes", () => {
  const capacity = new Capacity(4, false, 0);
  for (let nowMs = 1; nowMs < 1000; nowMs++) {
    assert.equal(capacity.observe(4, 4000, 4, true, nowMs), false);
  }
  assert.equal(capacity.slots, 4);
  assert.ok(Math.abs(capacity.servedPerMs - 1) < 0.1, `${capacity.servedPerMs} replies per ms`);
});

Deno.test("whatever is observed, the slots are a whole number within bounds", () => {
  const reply = fc.record({
    roundTripMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
    runUs: fc.nat(0xffff_ffff),
    outstanding: fc.integer({ min: 1, max: 5000 }),
    waiting: fc.boolean(),
    laterMs: fc.double({ min: 0, max: 1e4, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 64 }), fc.array(reply, { maxLength: 400 }), (cores, replies) => {
      const capacity = new Capacity(cores, true, 0);
      let nowMs = 0;
      for (const { roundTripMs, runUs, outstanding, waiting, laterMs } of replies) {
        nowMs += laterMs;
        capacity.observe(roundTripMs, runUs, outstanding, waiting, nowMs);
        capacity.rest(nowMs);
        const { slots, servedPerMs } = capacity;
        assert.ok(Number.isInteger(slots) && slots >= 1 && slots <= adaptiveSlotsMax, `${slots} slots`);
        assert.ok(Number.isFinite(servedPerMs) && servedPerMs >= 0, `${servedPerMs} replies per ms`);
      }
    }),
  );
});

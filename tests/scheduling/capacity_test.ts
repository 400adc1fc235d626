import assert from "node:assert/strict";
import { adaptiveSlotsMax, Capacity, slotsOf } from "../../lib/scheduling/capacity.ts";

function capacity(cores: number, adaptive = true): Capacity {
  const created = new Capacity();
  created.configure(cores, adaptive);
  return created;
}

/**
 * Keeps all slots in use from `fromMs` until `toMs`; each request takes what `timesOf` says at the limit it runs at.
 * Rounds of `slots` requests, as if all of them were sent and answered together.
 */
function saturate(
  subject: Capacity,
  fromMs: number,
  toMs: number,
  timesOf: (slots: number) => { waitMs: number; runMs: number },
): void {
  for (let nowMs = fromMs; nowMs < toMs;) {
    const slots = subject.slots;
    const { waitMs, runMs } = timesOf(slots);
    nowMs += waitMs + runMs;
    for (let i = 0; i < slots; i++) subject.observe(nowMs, waitMs + runMs, runMs * 1000, slots, slots);
  }
}

const waiting = () => ({ waitMs: 0.5, runMs: 200 });
/** Two cores do all the work: what is beyond them waits. */
const working = (slots: number) => ({ waitMs: Math.max(0, (slots / 2 - 1) * 50), runMs: 50 });

Deno.test("`slotsOf()` takes the agent's word within reason", () => {
  assert.deepEqual([4, 0, -1, 2.7, 1e9].map((reportedSlots) => slotsOf({ reportedSlots })), [
    4,
    0,
    0,
    2,
    4096,
  ]);
});

Deno.test("a capacity starts at the cores", () => {
  assert.equal(capacity(4).slots, 4);
});

Deno.test("what is configured stays, whatever is observed", () => {
  const fixed = capacity(7, false);
  saturate(fixed, 0, 10_000, waiting);
  saturate(fixed, 10_000, 20_000, working);
  assert.equal(fixed.slots, 7);
});

Deno.test("functions that wait get hundreds of slots in about a second", () => {
  const subject = capacity(2);
  saturate(subject, 0, 1300, waiting);
  assert.ok(subject.slots >= 200, `${subject.slots} slots`);
  saturate(subject, 1300, 10_000, waiting);
  assert.ok(subject.slots > adaptiveSlotsMax / 2, `${subject.slots} slots`);
});

Deno.test("functions that work on all cores get no more slots than cores, but for short probes", () => {
  const subject = capacity(2);
  let slotMs = 0;
  saturate(subject, 0, 20_000, (slots) => {
    slotMs += slots * (working(slots).waitMs + 50);
    return working(slots);
  });
  assert.ok(slotMs / 20_000 < 3.3, `${slotMs / 20_000} slots on average`);
});

Deno.test("without demand nothing grows", () => {
  const subject = capacity(4);
  for (let nowMs = 0; nowMs < 60_000; nowMs += 10) subject.observe(nowMs, 2, 1000, 1, 1);
  assert.equal(subject.slots, 4);
});

Deno.test("a standing queue is cut in steps, never below the cores", () => {
  const subject = capacity(2);
  saturate(subject, 0, 1500, waiting);
  const before = subject.slots;
  saturate(subject, 1500, 2600, () => ({ waitMs: 500, runMs: 20 }));
  assert.ok(subject.slots < before && subject.slots >= before / 8, `${before} → ${subject.slots}`);
  saturate(subject, 2600, 60_000, () => ({ waitMs: 500, runMs: 20 }));
  assert.ok(subject.slots >= 2);
});

Deno.test("requests that run into their deadlines halve the limit", () => {
  const subject = capacity(2);
  saturate(subject, 0, 1500, waiting);
  const before = subject.slots;
  for (let i = 0; i < 1000; i++) subject.lose();
  saturate(subject, 1500, 2300, waiting);
  assert.equal(subject.slots, before / 2);
});

Deno.test("an hour without requests brings it back to the cores, ten seconds don't", () => {
  const subject = capacity(2);
  saturate(subject, 0, 3000, waiting);
  const learned = subject.slots;
  subject.observe(13_500, 200, 200_000, 1, 1);
  assert.equal(subject.slots, learned);
  subject.observe(3_600_000, 200, 200_000, 1, 1);
  assert.equal(subject.slots, 2);
});

Deno.test("the same report again changes nothing, another one starts anew", () => {
  const subject = capacity(2);
  saturate(subject, 0, 3000, waiting);
  const learned = subject.slots;
  subject.configure(2, true);
  assert.equal(subject.slots, learned);
  subject.configure(3, true);
  assert.equal(subject.slots, 3);
});

Deno.test("a replica that reports no slots has none", () => {
  const subject = capacity(0);
  subject.observe(100, 2, 1000, 1, 1);
  assert.equal(subject.slots, 0);
});

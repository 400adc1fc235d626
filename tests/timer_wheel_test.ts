import assert from "node:assert/strict";
import fc from "fast-check";
import type { Clock } from "../lib/clock.ts";
import { TimerWheel, WheelEntry } from "../lib/timer_wheel.ts";
import { ManualClock } from "./support/manual_clock.ts";

const entryAt = (deadlineMs: number) => new WheelEntry(deadlineMs);

Deno.test("entries fall due in order, at their own moment, behind one timer", () => {
  const clock = new ManualClock();
  const due: [number, number][] = [];
  const wheel = new TimerWheel<WheelEntry>(
    clock,
    (entry) => due.push([entry.deadlineMs, clock.monotonicMs()]),
  );
  for (const deadlineMs of [300, 100, 200, 100]) wheel.add(entryAt(deadlineMs));
  assert.equal(clock.pendingTimers, 1);
  clock.advance(250);
  assert.deepEqual(due, [[100, 100], [100, 100], [200, 200]]);
  clock.advance(50);
  assert.equal(due.length, 4);
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("a fraction of a millisecond is waited out, never cut off", () => {
  const clock = new ManualClock();
  const due: number[] = [];
  const wheel = new TimerWheel<WheelEntry>(clock, () => due.push(clock.monotonicMs()));
  wheel.add(entryAt(10.25));
  clock.advance(20);
  assert.deepEqual(due, [11]);
});

Deno.test("an entry added or removed while others fall due is treated like any other", () => {
  const clock = new ManualClock();
  const due: number[] = [];
  const late = entryAt(10);
  const wheel = new TimerWheel<WheelEntry>(clock, (entry) => {
    due.push(entry.deadlineMs);
    if (entry.deadlineMs !== 5) return;
    wheel.remove(late);
    wheel.add(entryAt(7));
  });
  wheel.add(entryAt(5));
  wheel.add(late);
  clock.advance(20);
  assert.deepEqual(due, [5, 7]);
});

Deno.test("`close()` forgets everything and stops the timer", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel<WheelEntry>(clock, () => assert.fail("closed"));
  const entry = entryAt(5);
  wheel.add(entry);
  wheel.close();
  wheel.remove(entry);
  assert.equal(clock.pendingTimers, 0);
  clock.advance(10);
});

Deno.test("what is due in more years than the wheel spans, or never, waits and can be removed", () => {
  const yearMs = 365 * 24 * 3600_000;
  let nowMs = 0;
  let fire = () => {};
  const clock = {
    monotonicMs: () => nowMs,
    after(_: number, action: () => void) {
      fire = action;
      return () => {};
    },
  } as unknown as Clock;
  const due: number[] = [];
  const wheel = new TimerWheel<WheelEntry>(clock, (entry) => due.push(entry.deadlineMs));
  const never = entryAt(Infinity);
  for (const entry of [never, entryAt(5 * yearMs), entryAt(10)]) wheel.add(entry);
  for (const laterMs of [10, yearMs, 4 * yearMs, 5 * yearMs - 1]) {
    nowMs = laterMs;
    fire();
    assert.deepEqual(due, [10]);
  }
  nowMs = 5 * yearMs;
  fire();
  assert.deepEqual(due, [10, 5 * yearMs]);
  wheel.remove(never);
  assert.equal(wheel.size, 0);
});

Deno.test("days away or next to it, and after a long time with nothing to do: each at its own millisecond", () => {
  const delays = fc.array(fc.oneof(fc.nat(70), fc.nat(5000), fc.nat(300_000), fc.nat(24 * 3600_000)), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(delays, fc.nat(3 * 24 * 3600_000), (list, idleMs) => {
      const clock = new ManualClock();
      clock.advance(idleMs);
      const due: number[] = [];
      const wheel = new TimerWheel<WheelEntry>(clock, (entry) => {
        assert.equal(entry.deadlineMs, clock.monotonicMs());
        due.push(entry.deadlineMs - idleMs);
      });
      for (const delay of list) wheel.add(entryAt(idleMs + delay));
      for (const delay of list.toSorted((left, right) => left - right)) {
        clock.advance(idleMs + delay - clock.monotonicMs());
      }
      assert.deepEqual(due, list.toSorted((left, right) => left - right));
      assert.equal(clock.pendingTimers, 0);
    }),
    { numRuns: 20 },
  );
});

const step = fc.oneof(
  fc.record({ add: fc.nat(200) }),
  fc.record({ remove: fc.nat(100) }),
  fc.record({ advance: fc.nat(40) }),
);

Deno.test("any history: exactly those not removed fall due, each once, none early, none late", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const clock = new ManualClock();
      const waiting = new Set<WheelEntry>();
      let lastMs = 0;
      const wheel = new TimerWheel<WheelEntry>(clock, (entry) => {
        assert.ok(waiting.delete(entry));
        assert.equal(entry.deadlineMs, clock.monotonicMs());
        assert.ok(entry.deadlineMs >= lastMs);
        lastMs = entry.deadlineMs;
      });
      for (const step of steps) {
        if ("add" in step) {
          const entry = entryAt(clock.monotonicMs() + step.add);
          waiting.add(entry);
          wheel.add(entry);
        } else if ("remove" in step) {
          const entry = [...waiting][step.remove % Math.max(1, waiting.size)];
          if (!entry) continue;
          waiting.delete(entry);
          wheel.remove(entry);
          wheel.remove(entry);
        } else clock.advance(step.advance);
        assert.equal(wheel.size, waiting.size);
        // One that is due now falls due with the next turn of the clock.
        for (const entry of waiting) assert.ok(entry.deadlineMs >= clock.monotonicMs());
      }
      clock.advance(200);
      assert.equal(waiting.size, 0);
      assert.equal(clock.pendingTimers, 0);
    }),
    { numRuns: 300 },
  );
});

Deno.test("whatever is removed from the middle, the rest falls due in order", () => {
  const entry = fc.record({ deadlineMs: fc.nat(500), keep: fc.boolean() });
  const arbitrary = fc.noBias(fc.array(entry, { minLength: 40, maxLength: 80 }));
  fc.assert(
    fc.property(arbitrary, (plan) => {
      const clock = new ManualClock();
      const due: number[] = [];
      const wheel = new TimerWheel<WheelEntry>(clock, (entry) => due.push(entry.deadlineMs));
      const entries = plan.map(({ deadlineMs }) => entryAt(deadlineMs));
      for (const entry of entries) wheel.add(entry);
      entries.forEach((entry, index) => plan[index].keep || wheel.remove(entry));
      clock.advance(500);
      const kept = plan.filter(({ keep }) => keep).map(({ deadlineMs }) => deadlineMs);
      assert.deepEqual(due, kept.sort((left, right) => left - right));
    }),
    { numRuns: 300 },
  );
});

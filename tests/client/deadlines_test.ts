import assert from "node:assert/strict";
import fc from "fast-check";
import { Deadlines } from "../../lib/client/deadlines.ts";
import { ManualClock } from "../support/manual_clock.ts";

Deno.test("`Deadlines` reports each key once, never early and at most a bucket late", () => {
  fc.assert(fc.property(
    fc.array(fc.record({ delayMs: fc.integer({ min: 0, max: 2000 }), removed: fc.boolean() }), {
      maxLength: 40,
    }),
    fc.integer({ min: 1, max: 60 }),
    (entries, stepMs) => {
      const clock = new ManualClock();
      const seen = new Map<number, number>();
      const deadlines = new Deadlines<number>(clock, (key) => {
        assert.ok(!seen.has(key), `${key} twice`);
        seen.set(key, clock.monotonicMs());
      });
      const buckets = entries.map(({ delayMs }, key) => deadlines.add(key, delayMs));
      entries.forEach(({ removed }, key) => removed && deadlines.remove(key, buckets[key]));
      for (let atMs = 0; atMs < 2100; atMs += stepMs) clock.advance(stepMs);
      entries.forEach(({ delayMs, removed }, key) => {
        const atMs = seen.get(key);
        if (removed) return assert.equal(atMs, undefined);
        assert.ok(
          atMs !== undefined && atMs >= delayMs && atMs <= delayMs + 25,
          `due ${delayMs}, seen ${atMs}`,
        );
      });
      assert.equal(clock.pendingTimers, 0);
    },
  ));
});

Deno.test("`Deadlines` takes new keys while it reports", () => {
  const clock = new ManualClock();
  const seen: string[] = [];
  const deadlines = new Deadlines<string>(clock, (key) => {
    seen.push(key);
    if (key === "first") deadlines.add("second", clock.monotonicMs() + 50);
  });
  deadlines.add("first", 100);
  deadlines.add("last", 1000);
  clock.advance(100);
  assert.deepEqual(seen, ["first"]);
  clock.advance(50);
  assert.deepEqual(seen, ["first", "second"]);
  clock.advance(1000);
  assert.deepEqual(seen, ["first", "second", "last"]);
});

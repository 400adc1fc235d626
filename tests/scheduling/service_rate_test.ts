import assert from "node:assert/strict";
import fc from "fast-check";
import { longWaitMs, RoundTrip, ServiceRate, usualWaitMs } from "../../lib/scheduling/service_rate.ts";

/** `count` departures, `everyMs` apart, of a replica that is full all the time; returns the end. */
function serve(rate: ServiceRate, fromMs: number, everyMs: number, count: number, served = true): number {
  rate.take(fromMs, true);
  for (let index = 1; index <= count; index++) {
    rate.giveBack(fromMs + index * everyMs, false, served);
    rate.take(fromMs + index * everyMs, true);
  }
  return fromMs + count * everyMs;
}

Deno.test("a rate counts while all slots are in use, and nothing is known before", () => {
  const rate = new ServiceRate();
  assert.equal(rate.perMs(0), 0);
  // Half of the slots in use: how fast it is then says nothing of what it could do.
  for (let index = 0; index < 10; index++) {
    rate.take(index * 100, false);
    rate.giveBack(index * 100 + 90, false, true);
  }
  assert.equal(rate.perMs(1000), 0);
  const endMs = serve(rate, 2000, 20, 40);
  assert.equal(rate.perMs(endMs), 1 / 20);
  assert.equal(rate.departures, 40);
});

Deno.test("what departs nothing is slow, and slots that are given back unserved make nothing quick", () => {
  const rate = new ServiceRate();
  const endMs = serve(rate, 0, 10, 10);
  assert.equal(rate.perMs(endMs), 0.1);
  assert.equal(rate.perMs(endMs + 900), 0.01);
  const lateMs = serve(rate, endMs, 1, 100, false);
  assert.equal(rate.perMs(lateMs), 0.05);
});

Deno.test("a rate follows a change within two windows, and is forgotten when it is old", () => {
  const rate = new ServiceRate();
  let nowMs = serve(rate, 0, 100, 200);
  assert.equal(rate.perMs(nowMs), 0.01);
  nowMs = serve(rate, nowMs, 5, 800);
  assert.equal(rate.perMs(nowMs), 0.2);
  rate.giveBack(nowMs, false, true);
  rate.take(nowMs + 20_000, true);
  assert.equal(rate.perMs(nowMs + 20_001), 0);
});

Deno.test("round trips have a mean, a bound and a variation", () => {
  const equal = new RoundTrip();
  const uneven = new RoundTrip();
  for (let count = 0; count < 200; count++) {
    equal.observe(50);
    uneven.observe(count % 2 === 0 ? 10 : 90);
  }
  assert.deepEqual([equal.meanMs, equal.boundMs, equal.variation], [50, 50, 0]);
  assert.ok(Math.abs(uneven.meanMs - 50) < 5 && uneven.boundMs > 150, `${uneven.meanMs}, ${uneven.boundMs}`);
  assert.ok(uneven.variation > 0.8 && uneven.variation < 1.2, `${uneven.variation}`);
});

Deno.test("a longer queue, a slower rate, more variation and less knowledge all mean a longer wait", () => {
  const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });
  fc.assert(
    fc.property(
      number(0, 1000),
      number(0.001, 10),
      number(0, 2),
      fc.integer({ min: 2, max: 500 }),
      (...args) => {
        const [ahead, rate, variation, departures] = args;
        const waitMs = longWaitMs(ahead, rate, variation, departures);
        assert.ok(usualWaitMs(ahead, rate, variation) <= waitMs);
        assert.ok(longWaitMs(ahead + 1, rate, variation, departures) >= waitMs);
        assert.ok(longWaitMs(ahead, rate / 2, variation, departures) >= waitMs);
        assert.ok(longWaitMs(ahead, rate, variation + 0.1, departures) >= waitMs);
        assert.ok(longWaitMs(ahead, rate, variation, departures - 1) >= waitMs);
      },
    ),
  );
});

import assert from "node:assert/strict";
import fc from "fast-check";
import {
  afterLoss,
  type Damping,
  isDamped,
  penaltyAt,
  penaltyMax,
  usedAgainMs,
} from "../../lib/cluster/damping.ts";
import { limits } from "../../lib/limits.ts";

/** What losses at these times make of an agent, one value after each. */
function history(timesMs: readonly number[]): Damping[] {
  const values: Damping[] = [];
  for (const atMs of timesMs) values.push(afterLoss(values.at(-1), atMs));
  return values;
}

const times = (constraints: fc.ArrayConstraints, spanMs = 600_000) =>
  fc.array(fc.integer({ min: 0, max: spanMs }), constraints)
    .map((list) => list.toSorted((left, right) => left - right));

Deno.test("the limits make sense: who is damped can be used again, and damping can begin", () => {
  assert.ok(limits.dampingReuse < limits.dampingPenalty);
  // Below it nobody would ever be damped (RFC 2439, 4.2).
  assert.ok(penaltyMax > limits.dampingPenalty);
});

Deno.test("a loss adds 1, and weighs half as much after a half-life", () => {
  const one = afterLoss(undefined, 1000);
  assert.equal(penaltyAt(undefined, 1000), 0);
  assert.equal(penaltyAt(one, 1000), 1);
  assert.equal(penaltyAt(one, 1000 + limits.dampingHalfLifeMs), 0.5);
  assert.equal(
    penaltyAt(afterLoss(one, 1000 + limits.dampingHalfLifeMs), 1000 + limits.dampingHalfLifeMs),
    1.5,
  );
});

Deno.test("four losses in a row damp, for a minute after the last, and not a moment longer", () => {
  const [, , third, fourth] = history([0, 1000, 2000, 3000]);
  assert.equal(isDamped(third, 2000), false);
  assert.equal(isDamped(fourth, 3000), true);
  assert.equal(usedAgainMs(fourth), 3000 + limits.dampedMsMax);
  assert.equal(isDamped(fourth, 3000 + limits.dampedMsMax - 1), true);
  assert.equal(isDamped(fourth, 3000 + limits.dampedMsMax), false);
});

Deno.test("who is lost less often is held for a shorter time, and one more loss after it damps again", () => {
  const seldom = history([0, 30_000, 60_000, 90_000]).at(-1)!;
  assert.equal(isDamped(seldom, 90_000), true);
  const holdMs = usedAgainMs(seldom) - 90_000;
  assert.ok(holdMs > 30_000 && holdMs < 45_000, `held for ${holdMs} ms`);
  assert.equal(isDamped(afterLoss(seldom, usedAgainMs(seldom)), usedAgainMs(seldom)), true);
  const rested = afterLoss(seldom, 90_000 + 2 * limits.dampingHalfLifeMs);
  assert.equal(isDamped(rested, rested.lostMs), false);
});

Deno.test("a loss every 80 s or more never damps", () => {
  const values = history(Array.from({ length: 1000 }, (_, index) => index * 80_000));
  assert.ok(values.every(({ damped }) => !damped));
});

Deno.test("no three losses damp anybody, not even at once", () => {
  assert.equal(history([7, 7, 7]).at(-1)!.damped, false);
  fc.assert(fc.property(times({ maxLength: 3 }), (timesMs) => {
    for (const value of history(timesMs)) assert.equal(value.damped, false);
  }));
});

Deno.test("any five losses within two minutes damp, whatever was before them", () => {
  fc.assert(
    fc.property(times({ maxLength: 20 }), times({ minLength: 5, maxLength: 5 }, 120_000), (before, five) => {
      const values = history([...before, ...five.map((atMs) => 600_000 + atMs)]);
      assert.ok(values.slice(-5).some(({ damped }) => damped), JSON.stringify(values.slice(-5)));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("the penalty is bounded, only falls by itself, and holds nobody longer than the maximum", () => {
  fc.assert(
    fc.property(times({ minLength: 1, maxLength: 200 }, 60_000), fc.nat({ max: 200_000 }), (list, ms) => {
      for (const value of history(list)) {
        const { penalty, lostMs } = value;
        assert.ok(penalty >= 1 && penalty <= penaltyMax);
        assert.ok(penaltyAt(value, lostMs + ms) <= penalty);
        assert.ok(penaltyAt(value, lostMs + ms) >= penaltyAt(value, lostMs + ms + 1));
        assert.ok(usedAgainMs(value) >= lostMs && usedAgainMs(value) <= lostMs + limits.dampedMsMax);
        assert.equal(isDamped(value, lostMs + limits.dampedMsMax), false);
        // Until it is used again it is damped, then it is not: no way back without a loss.
        assert.equal(isDamped(value, lostMs + ms), lostMs + ms < usedAgainMs(value));
        if (value.damped) assert.ok(penaltyAt(value, usedAgainMs(value)) <= limits.dampingReuse + 1e-9);
      }
    }),
  );
});

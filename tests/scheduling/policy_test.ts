import assert from "node:assert/strict";
import fc from "fast-check";
import { createSeededRandom } from "../../lib/random.ts";
import { type Candidate, choose, smoothRunUs } from "../../lib/scheduling/policy.ts";

function candidate(parts: Partial<Candidate> = {}): Candidate {
  return { available: true, slots: 4, outstanding: 0, lent: 0, runUs: 0, runObservedMs: 0, ...parts };
}

/** How often each of the candidates is chosen out of 1000. */
function shares(candidates: Candidate[], nowMs = 0): number[] {
  const random = createSeededRandom(3);
  const counts = candidates.map(() => 0);
  for (let round = 0; round < 1000; round++) counts[candidates.indexOf(choose(candidates, nowMs, random)!)]++;
  return counts;
}

Deno.test("`choose()` takes the least outstanding relative to capacity", () => {
  const small = candidate({ slots: 2, outstanding: 1 });
  const large = candidate({ slots: 16, outstanding: 4 });
  assert.deepEqual(shares([small, large]), [0, 1000]);
});

Deno.test("`choose()` never takes a full or an unavailable replica", () => {
  const full = candidate({ outstanding: 4 });
  const suspect = candidate({ available: false });
  const busy = candidate({ outstanding: 3 });
  assert.deepEqual(shares([full, suspect, busy]), [0, 0, 1000]);
  assert.equal(choose([full, suspect], 0, createSeededRandom(1)), null);
  assert.equal(choose([], 0, createSeededRandom(1)), null);
});

Deno.test("`choose()` spreads over equals", () => {
  for (const share of shares([candidate(), candidate(), candidate(), candidate()])) {
    assert.ok(share > 180 && share < 320, `${share} of 1000`);
  }
});

Deno.test("a slower replica gets its share only under load, and noise is no slowness", () => {
  const fast = candidate({ runUs: 1000 });
  assert.deepEqual(shares([fast, candidate({ runUs: 4000 })]), [1000, 0]);
  assert.deepEqual(shares([{ ...fast, outstanding: 3 }, candidate({ runUs: 4000 })]), [0, 1000]);
  const [first, second] = shares([fast, candidate({ runUs: 1400 })]);
  assert.ok(first > 400 && second > 400);
});

Deno.test("a replica that was slow long ago gets another chance", () => {
  const fast = candidate({ runUs: 1000, runObservedMs: 20_000 });
  const once = candidate({ runUs: 90_000, runObservedMs: 1000 });
  assert.ok(shares([fast, once], 20_000)[1] > 400);
});

Deno.test("`smoothRunUs()` starts with the first run and follows the later ones", () => {
  assert.equal(smoothRunUs(0, 800), 800);
  assert.equal(smoothRunUs(800, 1600), 900);
});

Deno.test("`choose()` finds a free replica whenever there is one, and never another", () => {
  const arbitrary = fc.record({
    available: fc.boolean(),
    slots: fc.nat(8),
    outstanding: fc.nat(8),
    lent: fc.nat(4),
    runUs: fc.nat(100_000),
    runObservedMs: fc.nat(30_000),
  });
  fc.assert(
    fc.property(
      fc.array(arbitrary, { maxLength: 12 }),
      fc.boolean(),
      fc.integer(),
      (candidates, isNested, seed) => {
        const taken = ({ outstanding, lent }: Candidate) => isNested ? outstanding - lent : outstanding;
        const free = candidates.filter((one) => one.available && taken(one) < one.slots);
        const chosen = choose(candidates, 30_000, createSeededRandom(seed), isNested);
        assert.equal(chosen === null, free.length === 0);
        assert.ok(chosen === null || free.includes(chosen));
      },
    ),
  );
});

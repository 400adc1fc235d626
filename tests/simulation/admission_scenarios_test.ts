/**
 * More than there is room for, with deadlines: what is let in is answered in time, the slots stay in use, and whoever
 * could have been in time is not refused. Each scenario runs with several seeds; a failure names its own.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Random } from "../../lib/random.ts";
import { type Ended, type OverloadScenario, simulateOverload, tally } from "./overload_model.ts";

const seeds = [1, 2];
/** Where times are as uneven as they can well be, chance has a share. */
const uneven = 0.985;

/** Times of about `meanMs`, by how they vary. */
const times = {
  equal: (meanMs: number) => () => meanMs,
  exponential: (meanMs: number) => (random: Random) => -Math.log(1 - random.next()) * meanMs,
};

function everySeed(
  name: string,
  parts: Omit<OverloadScenario, "seed">,
  check: (ended: Ended[]) => void,
): void {
  Deno.test(name, () => {
    for (const seed of seeds) {
      try {
        check(simulateOverload({ ...parts, seed }));
      } catch (cause) {
        throw new Error(`seed ${seed}: ${(cause as Error).message}`, { cause });
      }
    }
  });
}

/** Of what was let in, this share was in time; and so many replies per second came. */
function requireKept(ended: Ended[], crowd: string, share: number, answeredMin: number, fromMs = 0): void {
  const figures = tally(ended, crowd, fromMs);
  const told = JSON.stringify({ crowd, ...figures });
  assert.ok(figures.inTime >= share * figures.admitted, told);
  assert.ok(figures.inTime >= answeredMin, `${told}, ${answeredMin} could have been answered`);
}

const durationMs = 10_000;
// Three agents, one core each, 20 ms: 150 a second.
const three = { agents: 3, cores: 1, durationMs };
const capacity = 150 * durationMs / 1000;

for (const [kind, timesOf] of Object.entries(times)) {
  for (const timeoutMs of [10_000, 2000, 500]) {
    everySeed(`ten times the capacity, ${timeoutMs} ms to answer, ${kind} times: what is let in is in time`, {
      ...three,
      slots: 1,
      workMs: (_, random) => timesOf(20)(random),
      crowds: [{ name: "flood", perSecond: 1500, timeoutMs }],
    }, (ended) => requireKept(ended, "flood", kind === "equal" ? 0.99 : uneven, capacity * 0.9));
  }
}

for (const timeoutMs of [2000, 500]) {
  everySeed(`replicas that take more than they have cores for, ${timeoutMs} ms to answer`, {
    ...{ agents: 3, cores: 2, durationMs },
    slots: 8,
    workMs: times.equal(20),
    crowds: [{ name: "flood", perSecond: 3000, timeoutMs }],
  }, (ended) => requireKept(ended, "flood", 0.99, capacity * 2 * 0.9));

  everySeed(`slots that adapt, ${timeoutMs} ms to answer: once they have settled`, {
    ...{ agents: 3, cores: 2, durationMs },
    workMs: times.equal(20),
    crowds: [{ name: "flood", perSecond: 3000, timeoutMs }],
  }, (ended) => requireKept(ended, "flood", uneven, capacity * 2 * 0.85 * 0.6, 4000));

  everySeed(
    `a light client beside a flood is let in and answered, and the flood has the rest, ${timeoutMs} ms`,
    {
      ...three,
      slots: 1,
      workMs: (_, random) => times.exponential(20)(random),
      crowds: [
        { name: "light", perSecond: 60, timeoutMs },
        { name: "flood", perSecond: 1500, timeoutMs },
      ],
    },
    (ended) => {
      // What the light one asks for comes in bursts of its own.
      requireKept(ended, "flood", 0.97, (capacity - 60 * durationMs / 1000) * 0.85);
      const light = tally(ended, "light");
      assert.ok(light.inTime >= 0.99 * light.sent, JSON.stringify(light));
    },
  );

  everySeed(`many clients that come and go, ${timeoutMs} ms`, {
    ...three,
    slots: 1,
    workMs: (_, random) => times.exponential(20)(random),
    crowds: [{ name: "crowd", perSecond: 450, timeoutMs, connections: 1000 }],
  }, (ended) => requireKept(ended, "crowd", uneven, capacity * 0.85));
}

everySeed("who has ten seconds and who has half of one get their turns, and both keep their time", {
  ...three,
  slots: 1,
  workMs: times.equal(20),
  crowds: [
    { name: "patient", perSecond: 500, timeoutMs: 10_000 },
    { name: "hasty", perSecond: 500, timeoutMs: 500 },
  ],
}, (ended) => {
  requireKept(ended, "patient", 0.99, capacity * 0.45);
  requireKept(ended, "hasty", 0.99, capacity * 0.4);
});

everySeed("an agent is lost under the flood: two seconds later all is kept again", {
  ...three,
  slots: 1,
  workMs: times.equal(20),
  crowds: [{ name: "flood", perSecond: 1500, timeoutMs: 2000 }],
  meanwhile: { atMs: 4000, do: (rig) => rig.disconnect("pi-1") },
}, (ended) => requireKept(ended, "flood", 0.99, 100 * 4 * 0.9, 6000));

everySeed("functions become ten times slower: a deadline later all is kept again", {
  ...three,
  slots: 1,
  workMs: (_endpoint, _random, nowMs) => nowMs < 4000 ? 5 : 50,
  crowds: [{ name: "flood", perSecond: 3000, timeoutMs: 1000 }],
}, (ended) => requireKept(ended, "flood", 0.99, 60 * 4 * 0.85, 6000));

everySeed("functions become ten times faster: within a second all of it is used", {
  ...three,
  slots: 1,
  workMs: (_endpoint, _random, nowMs) => nowMs < 4000 ? 50 : 5,
  crowds: [{ name: "flood", perSecond: 3000, timeoutMs: 1000 }],
}, (ended) => requireKept(ended, "flood", 0.99, 600 * 5 * 0.9, 5000));

everySeed("short and long functions share their replicas, and each keeps its time", {
  ...three,
  slots: 1,
  workMs: (endpoint) => endpoint === "long" ? 200 : 5,
  crowds: [
    { name: "short", perSecond: 200, timeoutMs: 1000 },
    { name: "long", perSecond: 30, timeoutMs: 2000, endpoint: "long" },
  ],
}, (ended) => {
  requireKept(ended, "short", uneven, 10 * 8, 2000);
  requireKept(ended, "long", uneven, 7 * 8, 2000);
});

Deno.test("below what there is room for, hardly anybody with time for a few turns is refused", () => {
  const scenario = fc.record({
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    meanMs: fc.double({ min: 2, max: 100, noNaN: true }),
    varies: fc.boolean(),
    agents: fc.integer({ min: 1, max: 5 }),
    slots: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    load: fc.double({ min: 0.1, max: 0.7, noNaN: true }),
    connections: fc.integer({ min: 1, max: 50 }),
  });
  fc.assert(
    fc.property(scenario, ({ meanMs, varies, load, connections, ...parts }) => {
      const timeOf = (varies ? times.exponential : times.equal)(meanMs);
      const cores = parts.slots ?? 2;
      const ended = simulateOverload({
        ...parts,
        cores,
        workMs: (_, random) => timeOf(random),
        durationMs: 300 * meanMs,
        crowds: [{
          name: "crowd",
          perSecond: load * parts.agents * cores / meanMs * 1000,
          timeoutMs: 40 * meanMs,
          connections,
        }],
      });
      const figures = tally(ended, "crowd");
      // Where times vary, a few slow ones in a row look like less room than there is.
      const refusedMax = varies ? 0.05 * figures.sent : 0;
      assert.ok(figures.refused <= refusedMax, JSON.stringify(figures));
      assert.equal(figures.inTime, figures.admitted, JSON.stringify(figures));
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { packBlock, type Slot, unpackBlock } from "../../lib/metrics/block.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { rounded, type SampleKind } from "../../lib/metrics/sample.ts";

/** As the program makes them; `fast-check` would leave out the prototype of some. */
function record<T>(fields: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true });
}

const latency = fc.array(fc.nat({ max: 10_000_000 }), { maxLength: 40 }).map((micros) => {
  const histogram = new Histogram();
  for (const us of micros) histogram.observe(us);
  return histogram.encode();
});
const gauges = fc.tuple(
  fc.option(fc.nat({ max: 10_000 }).map((share) => share / 10_000)),
  fc.option(fc.nat({ max: 1_000_000 }).map((mib) => mib * 2 ** 20)),
  fc.option(fc.integer({ min: -400, max: 1200 }).map((tenths) => tenths / 10)),
  fc.option(fc.nat({ max: 10_000 })),
).map((each) => [...each]);
const agent = fc.oneof(
  record({ v: fc.option(gauges) }),
  record({ v: fc.option(gauges), l: fc.option(gauges) }),
);
const values: [SampleKind, fc.Arbitrary<unknown>][] = [
  ["endpoint", record({ n: fc.nat(), e: fc.nat(), l: latency })],
  ["agent", agent],
  ["replicaSet", record({ m: fc.nat() })],
];

for (const [kind, value] of values) {
  Deno.test(`a block of ${kind} samples gives back each of them at its place`, () => {
    const slots = fc.uniqueArray(fc.tuple(fc.nat({ max: 11 }), value), { selector: ([slot]) => slot });
    fc.assert(fc.property(slots, (given) => {
      const sorted = given.map(([slot, value]): Slot => ({ slot, value })).sort((a, b) => a.slot - b.slot);
      assert.deepEqual(unpackBlock(kind, packBlock(kind, sorted)), sorted);
    }));
  });
}

Deno.test("an agent's numbers keep the digits that its host knows", () => {
  const v = [0.1234, 3_987_654_321, 47.2, 0.3333];
  const [{ value }] = unpackBlock("agent", packBlock("agent", [{ slot: 0, value: { v } }]));
  const found = (value as { v: number[] }).v;
  assert.deepEqual([found[0], found[2], found[3]], [v[0], v[2], v[3]].map(rounded));
  assert.ok(Math.abs(found[1] / v[1] - 1) < 1e-7, `${found[1]}`);
});

Deno.test("a busy minute of an endpoint takes a few bytes a slot", () => {
  const histogram = new Histogram();
  for (let run = 0; run < 150; run++) histogram.observe(20_000 * (1 + run / 100));
  const slots = Array.from(
    { length: 6 },
    (_, slot) => ({ slot, value: { n: 150, e: 0, l: histogram.encode() } }),
  );
  assert.ok(packBlock("endpoint", slots).length < 6 * 50, `${packBlock("endpoint", slots).length} bytes`);
});

Deno.test("blocks of a newer version, and those that are cut off, are refused", () => {
  const block = packBlock("replicaSet", [{ slot: 0, value: { m: 300 } }]);
  const newer = block.slice();
  newer[0] = 2;
  assert.throws(() => unpackBlock("replicaSet", newer), /must be of version 1, is of 2/);
  assert.throws(() => unpackBlock("replicaSet", block.subarray(0, block.length - 1)), RangeError);
});

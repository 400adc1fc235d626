import assert from "node:assert/strict";
import fc from "fast-check";
import { Histogram } from "../../lib/metrics/histogram.ts";

/** Microseconds from nothing to ten hours, small ones as likely as large ones. */
const micros = fc.oneof(
  fc.integer({ min: 0, max: 1000 }),
  fc.integer({ min: 0, max: 10_000_000 }),
  fc.integer({ min: 0, max: 36_000_000_000 }),
);
const values = fc.array(micros, { minLength: 1, maxLength: 300 });

function filled(numbers: number[]): Histogram {
  const histogram = new Histogram();
  for (const number of numbers) histogram.observe(number);
  return histogram;
}

/** The exact quantile at the rank that DDSketch defines. */
function exactQuantile(numbers: number[], q: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(q * (numbers.length - 1))];
}

Deno.test("`quantile()` is within 1 % of the exact quantile, for any values", () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (numbers, q) => {
      const exact = exactQuantile(numbers, q);
      const estimate = filled(numbers).quantile(q)!;
      assert.ok(Math.abs(estimate - exact) <= exact * 0.01001, `exact ${exact}, estimate ${estimate}`);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("merging histograms is the same as one histogram of all values", () => {
  fc.assert(fc.property(values, values, (one, two) => {
    const merged = filled(one);
    merged.merge(filled(two));
    const bySparse = filled(two);
    bySparse.merge(filled(one).toJSON());
    const whole = filled([...one, ...two]).toJSON();
    assert.deepEqual(merged.toJSON(), whole);
    assert.deepEqual(bySparse.toJSON(), whole);
    assert.equal(merged.count, one.length + two.length);
  }));
});

Deno.test("the wire form survives JSON", () => {
  fc.assert(fc.property(values, (numbers) => {
    const histogram = filled(numbers);
    const back = Histogram.fromJSON(JSON.parse(JSON.stringify(histogram)));
    assert.deepEqual(back.toJSON(), histogram.toJSON());
    assert.equal(back.quantile(0.95), histogram.quantile(0.95));
  }));
});

Deno.test("the storage form keeps every value and quantile, merges as one, and is a tenth of the wire form", () => {
  fc.assert(fc.property(values, values, (one, two) => {
    const merged = new Histogram();
    merged.merge(filled(one).encode());
    merged.merge(filled(two).encode());
    const whole = filled([...one, ...two]);
    assert.deepEqual(merged.toJSON(), whole.toJSON());
    for (const q of [0, 0.5, 0.95, 0.99, 1]) assert.equal(merged.quantile(q), whole.quantile(q));
  }));
  const wide = filled(Array.from({ length: 200 }, (_, at) => 1000 * 1.03 ** at));
  assert.ok(wide.encode().length * 10 < JSON.stringify(wide).length, `${wide.encode().length} bytes`);
  assert.deepEqual(filled([1, 1, 1, 2]).encode(), filled([2, 1, 1, 1]).encode());
  assert.deepEqual(new Histogram().encode(), new Uint8Array());
});

Deno.test("the storage form keeps counts that grew over years", () => {
  const histogram = new Histogram();
  histogram.merge({ "0": 1, "700": 2 ** 40, "701": 1, "1200": 2 ** 52 });
  const back = new Histogram();
  back.merge(histogram.encode());
  assert.deepEqual(back.toJSON(), histogram.toJSON());
});

Deno.test("the text that earlier formats stored is still read", () => {
  const histogram = new Histogram();
  histogram.merge("5k,1:3,1");
  assert.deepEqual(histogram.toJSON(), { "200": 1, "201": 3, "202": 1 });
});

Deno.test("`clear()` leaves an empty histogram that counts anew", () => {
  const histogram = filled([1, 100, 1_000_000]);
  histogram.clear();
  assert.equal(histogram.count, 0);
  assert.equal(histogram.quantile(0.5), undefined);
  assert.deepEqual(histogram.toJSON(), {});
  histogram.observe(100);
  assert.deepEqual(histogram.toJSON(), filled([100]).toJSON());
});

Deno.test("the number of buckets is bounded, whatever is observed", () => {
  const histogram = new Histogram();
  for (let exponent = -3; exponent < 300; exponent++) histogram.observe(10 ** exponent);
  for (const odd of [Infinity, NaN, -5, -Infinity]) histogram.observe(odd);
  histogram.merge({ "999999": 2, "-4": 1, "x": 1, "7": -1 });
  assert.equal(histogram.count, 303 + 4 + 2);
  assert.ok(Math.max(...Object.keys(histogram.toJSON()).map(Number)) < 1300);
  assert.ok(histogram.quantile(1)! >= 36e9);
  assert.equal(histogram.quantile(0), 0);
});

Deno.test("`quantile()` takes shares outside of 0 to 1 for the ends", () => {
  const histogram = filled([10, 20, 30]);
  assert.equal(histogram.quantile(-1), histogram.quantile(0));
  assert.equal(histogram.quantile(2), histogram.quantile(1));
});

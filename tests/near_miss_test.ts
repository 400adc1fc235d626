import assert from "node:assert/strict";
import fc from "fast-check";
import { didYouMean, editDistance, nearMisses } from "../lib/near_miss.ts";

Deno.test("`nearMisses()` finds a slip, a swap and another case", () => {
  const known = ["replicas", "placement", "permissions", "version"];
  assert.deepEqual(nearMisses("replica", known), ["replicas"]);
  assert.deepEqual(nearMisses("palcement", known), ["placement"]);
  assert.deepEqual(nearMisses("VERSION", known), ["version"]);
});

Deno.test("`nearMisses()` says nothing when nothing is near", () => {
  assert.deepEqual(nearMisses("zebra", ["replicas", "placement"]), []);
  assert.deepEqual(nearMisses("", ["a", "b"]), []);
  assert.deepEqual(nearMisses("a", ["b"]), []);
});

Deno.test("`nearMisses()` finds an endpoint by its function or by its set", () => {
  const known = ["images/resize", "images/rotate", "text/words"];
  assert.deepEqual(nearMisses("resize", known), ["images/resize"]);
  assert.deepEqual(nearMisses("images", known), ["images/resize", "images/rotate"]);
  assert.deepEqual(nearMisses("image/resize", known)[0], "images/resize");
});

Deno.test("`nearMisses()` puts the nearest first and keeps to its maximum", () => {
  assert.deepEqual(nearMisses("abcdef", ["abcdzz", "abcdef1", "abcdez", "abcd"], 2), ["abcdef1", "abcdez"]);
});

Deno.test("`nearMisses()` stays quick on long names", () => {
  assert.deepEqual(nearMisses("x".repeat(1_000_000), ["y".repeat(1_000_000)]), []);
});

Deno.test("`didYouMean()` words one, several and none", () => {
  assert.equal(didYouMean("replica", ["replicas"]), ", did you mean `replicas`?");
  assert.equal(didYouMean("images", ["images/a", "images/b"]), ", did you mean `images/a` or `images/b`?");
  assert.equal(didYouMean("zebra", ["replicas"]), "");
});

Deno.test("`editDistance()` is zero only for the same, symmetric and bounded by the longer length", () => {
  const word = fc.string({ maxLength: 12, unit: fc.constantFrom("a", "b", "c") });
  fc.assert(fc.property(word, word, (left, right) => {
    const distance = editDistance(left, right);
    assert.equal(distance === 0, left === right);
    assert.equal(distance, editDistance(right, left));
    assert.ok(distance <= Math.max(left.length, right.length));
    assert.ok(distance >= Math.abs(left.length - right.length));
  }));
  assert.equal(editDistance("ab", "ba"), 1);
});

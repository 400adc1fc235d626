import assert from "node:assert/strict";
import { findBreaks } from "../../lib/deployment/breaking.ts";

const always = () => true;

function narrowed(before: Record<string, unknown>, after: Record<string, unknown>): string[] {
  const of = (input: Record<string, unknown>) => [{ name: "resize", stream: false, input }];
  return findBreaks(of(before), of(after), always);
}

Deno.test("`findBreaks()` tells an endpoint that is gone, if it was called", () => {
  const before = [{ name: "resize", stream: false }, { name: "crop", stream: false }];
  const after = [{ name: "resize", stream: false }, { name: "turn", stream: false }];
  assert.deepEqual(findBreaks(before, after, always), ["crop is gone"]);
  assert.deepEqual(findBreaks(before, after, (name) => name !== "crop"), []);
});

Deno.test("`findBreaks()` tells a reply that comes in another form", () => {
  const of = (stream: boolean) => [{ name: "count", stream }];
  assert.deepEqual(findBreaks(of(true), of(false), always), ["count no longer replies in parts"]);
  assert.deepEqual(findBreaks(of(false), of(true), always), ["count replies in parts"]);
});

Deno.test("`findBreaks()` tells what an input's schema no longer takes", () => {
  const numbers = { type: "object", properties: { n: { type: "number" }, unit: { enum: ["px", "mm"] } } };
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ ...numbers, required: ["n"] }, /its input needs n/],
    [{ type: "array" }, /its input may no longer be object/],
    [
      { ...numbers, properties: { ...numbers.properties, n: { type: "integer" } } },
      /n may no longer be number/,
    ],
    [
      { ...numbers, properties: { ...numbers.properties, unit: { enum: ["px"] } } },
      /unit may no longer be "mm"/,
    ],
    [
      { ...numbers, properties: { ...numbers.properties, n: { type: "number", maximum: 9 } } },
      /n has maximum 9/,
    ],
    [
      { type: "object", properties: { n: { type: "number" } }, additionalProperties: false },
      /unit is not taken/,
    ],
  ];
  for (const [after, says] of cases) assert.match(narrowed(numbers, after).join(), says);
});

Deno.test("`findBreaks()` says nothing of an input that takes as much or more", () => {
  const before = { type: "object", required: ["n"], properties: { n: { type: "integer", maximum: 5 } } };
  assert.deepEqual(narrowed(before, before), []);
  assert.deepEqual(narrowed(before, { properties: { n: { type: ["number", "string"], maximum: 6 } } }), []);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { continueTrace, parseTraceParent } from "../lib/trace_context.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const spanId = "00f067aa0ba902b7";

Deno.test("a traceparent is taken apart, also one of a later version", () => {
  const parent = { traceId, spanId, sampled: true };
  assert.deepEqual(parseTraceParent(`00-${traceId}-${spanId}-01`), parent);
  assert.deepEqual(parseTraceParent(`cc-${traceId}-${spanId}-09-what-is-new`), parent);
  assert.deepEqual(parseTraceParent(`00-${traceId}-${spanId}-00`), { ...parent, sampled: false });
});

Deno.test("what is no traceparent is as if it were not there", () => {
  const none = [
    undefined,
    "",
    "00",
    `ff-${traceId}-${spanId}-01`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
  ];
  for (const text of none) assert.equal(parseTraceParent(text), null, String(text));
});

Deno.test("a trace goes on under the request's id, with the caller's wish to record it", () => {
  assert.equal(
    continueTrace(`00-${traceId}-${spanId}-01`, "00000012000000ff"),
    `00-${traceId}-00000012000000ff-01`,
  );
  fc.assert(fc.property(fc.string(), (text) => {
    if (parseTraceParent(text) === null) assert.equal(continueTrace(text, "00000012000000ff"), text);
  }));
});

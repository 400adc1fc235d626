import assert from "node:assert/strict";
import { parseHeaders } from "../../lib/hosting/invocation_context.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";

Deno.test("a module sees its headers in lower case, and itself as the parent of what it calls", () => {
  const meta = JSON.stringify({ Order: "7", traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
  assert.deepEqual({ ...parseHeaders(meta, "00000012000000ff") }, {
    order: "7",
    traceparent: `00-${traceId}-00000012000000ff-01`,
  });
  for (const nothing of ["", "null", "{", "7"]) assert.deepEqual({ ...parseHeaders(nothing, "1") }, {});
});

import assert from "node:assert/strict";
import { moduleHeaders } from "../../lib/manager/api/module_headers.ts";

Deno.test("modules get the headers meant for them and the trace, and none of the connection's", () => {
  const headers: [string, string][] = [
    ["authorization", "Basic secret"],
    ["sqwish-header-order", "7"],
    ["traceparent", "00-1-2-01"],
    ["tracestate", "a=b"],
    ["user-agent", "curl"],
  ];
  assert.deepEqual(JSON.parse(moduleHeaders(headers)), {
    order: "7",
    traceparent: "00-1-2-01",
    tracestate: "a=b",
  });
  assert.equal(moduleHeaders([["user-agent", "curl"]]), "");
});

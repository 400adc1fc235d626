import assert from "node:assert/strict";
import { slotsOf } from "../../lib/scheduling/capacity.ts";

Deno.test("`slotsOf()` takes the agent's word within reason", () => {
  assert.deepEqual([4, 0, -1, 2.7, 1e9].map((reportedSlots) => slotsOf({ reportedSlots })), [
    4,
    0,
    0,
    2,
    4096,
  ]);
});

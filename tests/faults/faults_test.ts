/**
 * Every fault of the page once, on compiled programs under load: each request has one outcome, none is lost, doubled
 * or told falsely, and the cluster is whole again. Needs `task build`.
 */
import assert from "node:assert/strict";
import { faults } from "../../bench/chaos/all.ts";
import { runFault } from "../../bench/chaos/fault.ts";

for (const fault of faults) {
  const ignore = fault.isLong === true;
  Deno.test({ name: `${fault.title}: every request has its one true outcome`, ignore }, async () => {
    const [round] = await runFault(fault, 1);
    assert.deepEqual(round.broken, [], JSON.stringify(round));
  });
}

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
    const { sent, answered, lost, doubled, untrue, idempotentFailed } = round;
    const told = JSON.stringify(round);
    assert.ok(sent > 50 && answered > sent / 4, told);
    assert.deepEqual({ lost, doubled, untrue, idempotentFailed }, {
      ...{ lost: 0, doubled: 0, untrue: 0, idempotentFailed: 0 },
    }, told);
    for (const code of Object.keys(round.errors)) {
      assert.ok((fault.errors ?? []).includes(code as never), told);
    }
  });
}

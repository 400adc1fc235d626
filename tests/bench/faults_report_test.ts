import assert from "node:assert/strict";
import { faults } from "../../bench/chaos/all.ts";
import { judge } from "../../bench/chaos/ledger.ts";
import { type FaultRecord, renderFaults } from "../../bench/chaos/report.ts";

function recordOf(date: string, kernel: string): FaultRecord {
  return {
    date,
    machine: { cpu: "a CPU", cores: 2, memoryGb: 8, kernel, versions: { Sqwish: "1.2.3" } },
    rounds: [{ ...judge([], new Map(), 0), broken: [] }],
  };
}

Deno.test("the table of faults says of all its rows when and on what they were measured", () => {
  const [one, other] = faults.map(({ name }) => name);
  const same = renderFaults({ [one]: recordOf("2026-11-30", "6.1"), [other]: recordOf("2026-11-30", "6.1") });
  assert.match(same, /\. 2026-11-30\. a CPU, 2 cores, 8 GB, Linux 6\.1; Sqwish 1\.2\.3\.<\/sub>$/);
  const mixed = renderFaults({
    [one]: recordOf("2026-11-30", "6.1"),
    [other]: recordOf("2026-11-24", "6.5"),
  });
  assert.match(mixed, /\. 2026-11-24 to 2026-11-30\. a CPU, .* Linux 6\.1; .*; or a CPU, .* Linux 6\.5; /);
});

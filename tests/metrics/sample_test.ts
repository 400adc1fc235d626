import assert from "node:assert/strict";
import fc from "fast-check";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { type AgentValue, isWorthWriting, mergeSamples, type Sample } from "../../lib/metrics/sample.ts";
import { rollUpRows } from "../../lib/metrics/roll_up.ts";

const row = (atMs: number, value: unknown, subject = "pi-1"): Sample => ({
  kind: "agent",
  subject,
  atMs,
  value,
});
const gauges = (cpu: number | null, outstanding = 0) => [cpu, 1e9, null, outstanding];

Deno.test("merging endpoint samples in any grouping gives the same counts and histogram", () => {
  const value = fc.array(fc.integer({ min: 0, max: 1e7 }), { maxLength: 20 }).map((latencies) => {
    const histogram = new Histogram();
    for (const us of latencies) histogram.observe(us);
    return { n: latencies.length, e: latencies.length % 3, l: histogram.toJSON() };
  });
  fc.assert(fc.property(fc.array(value, { minLength: 2, maxLength: 8 }), fc.nat(), (values, cut) => {
    const rows = values.map((each, at) => row(at, each));
    const at = 1 + cut % (rows.length - 1);
    const parts = [rows.slice(0, at), rows.slice(at)]
      .map((part, index) => row(index, mergeSamples("endpoint", part, 0)));
    assert.deepEqual(mergeSamples("endpoint", parts, 0), mergeSamples("endpoint", rows, 0));
  }));
});

Deno.test("an agent's mean counts each value for as long as it held, and keeps the last one", () => {
  const rows = [
    row(0, { v: gauges(0.2) }),
    row(10_000, { v: gauges(0.8) }),
    row(20_000, { v: gauges(0.2, 1) }),
  ];
  const merged = mergeSamples("agent", rows, 100_000) as AgentValue;
  assert.deepEqual(merged, { v: [0.26, 1e9, null, 0.8], l: [0.2, 1e9, null, 1] });
});

Deno.test("an agent's mean doesn't count the time it was gone", () => {
  const rows = [row(0, { v: gauges(0.5) }), row(10_000, { v: null })];
  assert.deepEqual(mergeSamples("agent", rows, 100_000), { v: gauges(0.5), l: null });
  assert.deepEqual(mergeSamples("agent", [row(0, { v: null })], 100_000), { v: null });
});

Deno.test("the deepest queue is kept", () => {
  assert.deepEqual(
    mergeSamples("replicaSet", [{ m: 2 }, { m: 7 }, { m: 1 }].map((each) => row(0, each)), 0),
    { m: 7 },
  );
});

Deno.test("`isWorthWriting()` ignores noise and notices steps, sensors that come and go, and agents that do", () => {
  const before = [0.1, 1e9, 50, 0];
  assert.equal(isWorthWriting(before, [0.14, 1.01e9, 51, 0]), false);
  for (
    const after of [[0.16, 1e9, 50, 0], [0.1, 1.1e9, 50, 0], [0.1, 1e9, 53, 0], [0.1, 1e9, 50, 1], [
      0.1,
      1e9,
      null,
      0,
    ]]
  ) {
    assert.equal(isWorthWriting(before, after), true, JSON.stringify(after));
  }
  assert.equal(isWorthWriting(before, null), true);
  assert.equal(isWorthWriting(null, before), true);
  assert.equal(isWorthWriting(null, null), false);
});

Deno.test("`rollUpRows()` makes one row per subject and 5 min", () => {
  const fine = [
    row(0, { v: gauges(0.1) }, "pi-1"),
    row(290_000, { v: gauges(0.1) }, "pi-1"),
    row(300_000, { v: gauges(0.3) }, "pi-1"),
    row(300_000, { v: gauges(0.4) }, "pi-2"),
  ];
  const rolled = rollUpRows("agent", fine).map((
    each,
  ) => [each.subject, each.atMs, (each.value as AgentValue).v![0]]);
  assert.deepEqual(rolled, [["pi-1", 0, 0.1], ["pi-1", 300_000, 0.3], ["pi-2", 300_000, 0.4]]);
});

/** Numbers and times as the dashboard writes them. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMs,
  formatNumber,
  formatShare,
  formatShortAge,
  formatSlots,
  formatTime,
  formatWrites,
  plural,
} from "../../dashboard/format.js";

function assertTable<Input>(format: (input: Input) => string, table: [Input, string][]): void {
  for (const [input, expected] of table) assert.equal(format(input), expected, String(input));
}

Deno.test("`formatNumber()` keeps two or three digits", () => {
  assertTable(formatNumber, [
    [0, "0"],
    [0.004, "0"],
    [0.034, "0.03"],
    [0.4, "0.4"],
    [9.96, "10"],
    [12.34, "12.3"],
    [123.4, "123"],
    [999.6, "1,000"],
    [1234, "1,234"],
    [1999.7, "2,000"],
    [9990, "9,990"],
    [12_345, "12.3k"],
    [2_100_000, "2.1M"],
    [NaN, "–"],
    [undefined as unknown as number, "–"],
  ]);
});

Deno.test("`formatNumber()` never takes more than six characters up to a billion", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 9.9e8, noNaN: true }), (value) => formatNumber(value).length <= 6),
  );
});

Deno.test("`formatMs()` goes from parts of a millisecond to minutes", () => {
  assertTable(formatMs, [
    [0.84, "0.8 ms"],
    [5, "5 ms"],
    [12.4, "12 ms"],
    [999.4, "999 ms"],
    [1400, "1.4 s"],
    [5000, "5 s"],
    [12_600, "13 s"],
    [59_960, "1 min"],
    [undefined as unknown as number, "–"],
  ]);
});

Deno.test("`formatDuration()` names the two largest units", () => {
  assertTable(formatDuration, [
    [0, "0 s"],
    [59_400, "59 s"],
    [60_000, "1 min"],
    [3_600_000, "1 h"],
    [7_500_000, "2 h 5 min"],
    [90_000_000, "1 d 1 h"],
    [40 * 86_400_000 + 3_600_000, "40 d"],
    [-5000, "0 s"],
  ]);
});

Deno.test("`formatBytes()` uses binary units and `formatShare()` keeps small shares visible", () => {
  assertTable(formatBytes, [[0, "0 B"], [999, "999 B"], [1000, "1 KiB"], [1.5 * 2 ** 30, "1.5 GiB"], [
    2 ** 40,
    "1 TiB",
  ]]);
  assertTable(formatShare, [[0, "0 %"], [0.0004, "<0.1 %"], [0.004, "0.4 %"], [0.5, "50 %"], [1, "100 %"]]);
});

Deno.test("ages are told from the manager's clock, also when it is a little behind", () => {
  assert.equal(formatAge(10_000, 9_000), "just now");
  assert.equal(formatAge(10_000, 22_000), "12 s ago");
  assert.equal(formatShortAge(0, 7_500_000), "2 h");
  assert.equal(formatShortAge(0, 12_000), "12 s");
});

Deno.test("`formatTime()` adds the day when it is not today", () => {
  const noon = new Date(2026, 4, 3, 12, 5, 9).getTime();
  assert.equal(formatTime(noon, noon + 60_000), "12:05:09");
  assert.equal(formatTime(noon, noon + 86_400_000), "2026-05-03 12:05:09");
});

Deno.test("`formatSlots()` doesn't say that more slots are in use than there are", () => {
  assert.equal(formatSlots(0, 1), "0 of 1 slot in use");
  assert.equal(formatSlots(4, 4), "4 of 4 slots in use");
  assert.equal(formatSlots(5, 4), "5 running in 4 slots");
});

Deno.test("`plural()` counts in words", () => {
  assert.equal(plural(1, "agent"), "1 agent");
  assert.equal(plural(0, "agent"), "0 agents");
  assert.equal(plural(2, "reply", "replies"), "2 replies");
  assert.equal(formatCount(1_234_567), "1,234,567");
});

Deno.test("disk writes are told per hour once there is enough of one, and never guessed", () => {
  const started = { startedAtMs: 1000 };
  const mebibytes = (count: number) => count * 2 ** 20;
  const halfHour = { ...started, atMs: 1000 + 1_800_000, managerDiskWrittenBytes: mebibytes(5) };
  assert.equal(formatWrites(halfHour), "10 MiB per hour since its start");
  const young = { ...started, atMs: 61_000, managerDiskWrittenBytes: mebibytes(5) };
  assert.equal(formatWrites(young), "5 MiB since its start");
  assert.equal(formatWrites({ ...started, atMs: 1000 + 3_600_000 }), "not told by this system");
});

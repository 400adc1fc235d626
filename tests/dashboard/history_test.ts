/** A chart's columns: fetched, extended live, trimmed, summed and stacked. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  appendPoint,
  appendView,
  bridgeGaps,
  createHistory,
  createLivePoints,
  hasValue,
  isEmptyBefore,
  isolatedPoints,
  othersLabel,
  smooth,
  stackColumns,
  sumColumns,
  topColumns,
  trimHistory,
} from "../../dashboard/history.js";
import type { AgentView, EndpointView, OverviewView } from "../../lib/protocol/views.ts";

function view(timesMs: number[], columns: Record<string, (number | null)[]>) {
  return {
    series: "requests",
    resolutionMs: 1000,
    timesMs,
    columns: Object.entries(columns).map(([label, values]) => ({ label, values })),
  };
}

Deno.test("live points go on where the fetched history ends", () => {
  const history = createHistory();
  appendView(history, view([1000, 2000, 3000], { a: [1, 2, 3] }));
  appendPoint(history, 3200, { a: 99 });
  appendPoint(history, 4000, { a: 4, b: 7 });
  appendPoint(history, 5000, { b: 8 });
  assert.deepEqual(history.timesMs, [1000, 2000, 3000, 4000, 5000]);
  assert.deepEqual(history.columns.get("a"), [1, 2, 3, 4, null]);
  assert.deepEqual(history.columns.get("b"), [null, null, null, 7, 8]);
});

Deno.test("a time in which nothing was heard stays open, for lines and for stacks", () => {
  const history = createHistory();
  appendPoint(history, 1000, { a: 1 });
  appendPoint(history, 5900, { a: 2 });
  appendPoint(history, 60_000, { a: 3 });
  assert.deepEqual(history.timesMs, [1000, 5900, 6900, 60_000]);
  assert.deepEqual(history.columns.get("a"), [1, 2, null, 3]);
  const [stacked] = stackColumns([{ label: "a", values: [1, 2, null, 3] }]);
  assert.deepEqual(stacked.values, [1, 2, null, 3]);
});

Deno.test("a line goes over short gaps only, and a value alone between gaps is known as one", () => {
  const timesMs = [0, 1000, 2000, 3000, 60_000, 61_000];
  const values = [2, null, null, 8, null, 4];
  assert.deepEqual(bridgeGaps(values, timesMs, 5000), [2, 4, 6, 8, null, 4]);
  assert.deepEqual(bridgeGaps(values, timesMs, 2999), values);
  assert.deepEqual(isolatedPoints([2, 4, 6, 8, null, 4]), [5]);
  assert.deepEqual(isolatedPoints(values), [0, 3, 5]);
  assert.deepEqual(isolatedPoints([null, 1, 2, null]), []);
  assert.deepEqual(isolatedPoints([7]), [0]);
  const sparse = fc.array(fc.option(fc.integer({ min: 1, max: 9 }), { nil: null }));
  fc.assert(fc.property(sparse, fc.nat(10_000), (some, gapMsMax) => {
    const bridged = bridgeGaps(some, some.map((_value, index) => index * 1000), gapMsMax);
    some.forEach((value, index) => assert.ok(value === null || bridged[index] === value));
    for (const index of isolatedPoints(bridged)) assert.notEqual(bridged[index], null);
  }));
});

Deno.test("a later fetch adds only what is newer", () => {
  const history = createHistory();
  appendView(history, view([1000, 2000], { p50: [1, 2] }));
  appendView(history, view([2000, 3000], { p50: [9, 3], p99: [9, 4] }));
  appendView(history, view([1000, 2000], { p50: [7, 7] }));
  assert.deepEqual(history.timesMs, [1000, 2000, 3000]);
  assert.deepEqual(history.columns.get("p50"), [1, 2, 3]);
  assert.deepEqual(history.columns.get("p99"), [null, null, 4]);
});

Deno.test("trimming keeps one point beyond the edge and forgets names without a value", () => {
  const history = createHistory();
  appendView(history, view([1000, 2000, 3000, 4000], { old: [5, null, null, null], a: [1, 2, 3, 4] }));
  trimHistory(history, 2500);
  assert.deepEqual(history.timesMs, [2000, 3000, 4000]);
  assert.deepEqual(history.columns.get("a"), [2, 3, 4]);
  assert.equal(history.columns.has("old"), false);
});

Deno.test("columns stay as long as the time axis whatever comes in", () => {
  const step = fc.record({
    by: fc.integer({ min: 0, max: 3000 }),
    values: fc.dictionary(fc.constantFrom("a", "b", "c"), fc.nat()),
  });
  fc.assert(fc.property(fc.array(step), fc.nat(20_000), (steps, fromMs) => {
    const history = createHistory();
    let timeMs = 0;
    for (const { by, values } of steps) appendPoint(history, timeMs += by, values);
    trimHistory(history, fromMs);
    for (const column of history.columns.values()) assert.equal(column.length, history.timesMs.length);
    history.timesMs.forEach((time, index) => assert.ok(index === 0 || time > history.timesMs[index - 1]));
  }));
});

Deno.test("the eight busiest are shown by name and the rest as others, with nothing lost", () => {
  const history = createHistory();
  const names = Array.from({ length: 11 }, (_, index) => `set/f${String(index).padStart(2, "0")}`);
  appendView(
    history,
    view([1000, 2000], Object.fromEntries(names.map((name, index) => [name, [index, index]]))),
  );
  const columns = topColumns(history, 8, "sum");
  assert.equal(columns.length, 9);
  assert.deepEqual(columns.at(-1), { label: othersLabel, values: [0 + 1 + 2, 0 + 1 + 2] });
  assert.deepEqual(columns.slice(0, 8).map(({ label }) => label), names.slice(3));
  assert.deepEqual(
    sumColumns(columns, 2),
    sumColumns([...history.columns].map(([, values]) => ({ values })), 2),
  );
});

Deno.test("shares are averaged, not added up, over those that have a value", () => {
  const history = createHistory();
  appendView(history, view([1000, 2000], { a: [0.9, 0.9], b: [0.2, null], c: [0.4, 0.4] }));
  assert.deepEqual(topColumns(history, 1, "mean").at(-1)?.values, [(0.2 + 0.4) / 2, 0.4]);
});

Deno.test("a line that is shown stays until another is a fifth busier", () => {
  const history = createHistory();
  appendView(history, view([1000], { shown: [10], slightly: [11] }));
  assert.equal(topColumns(history, 1, "sum", ["shown"])[0].label, "shown");
  const busier = createHistory();
  appendView(busier, view([1000], { shown: [10], much: [13] }));
  assert.equal(topColumns(busier, 1, "sum", ["shown"])[0].label, "much");
});

Deno.test("a stack counts a later gap as zero and starts where the first value is", () => {
  const stacked = stackColumns([
    { label: "a", values: [null, 1, null, 2] },
    { label: "b", values: [null, null, 3, 4] },
  ]);
  assert.deepEqual(stacked.map(({ values }) => values), [[null, 1, 0, 2], [null, 1, 3, 6]]);
  assert.equal(hasValue({ label: "a", values: [null, 0, 0] }), false);
  assert.equal(hasValue({ label: "a", values: [null, 0, 0.1] }), true);
});

function overview(
  atMs: number,
  totals: Record<string, [requests: number, errors: number]>,
  agents: unknown[] = [],
) {
  return {
    cluster: { atMs },
    agents: agents as AgentView[],
    replicaSets: [{ name: "images", queued: 3 }],
    endpoints: Object.entries(totals).map(([endpoint, [totalRequests, totalErrors]]) =>
      ({ endpoint, totalRequests, totalErrors }) as EndpointView
    ),
    events: [],
  } as unknown as OverviewView;
}

Deno.test("only what is above zero before a moment counts as older data", () => {
  const history = createHistory();
  appendView(history, view([1000, 2000, 3000], { a: [0, null, 4], b: [null, 0, 0] }));
  assert.equal(isEmptyBefore(history, 3000), true);
  assert.equal(isEmptyBefore(history, 3001), false);
  assert.equal(isEmptyBefore(createHistory(), 3000), true);
});

Deno.test("smoothing keeps the sum of what lies inside and never goes below zero", () => {
  assert.deepEqual(smooth([null, 4, null, 2, 0, 0], 2), [null, 4, 2, 1, 1, 0]);
  assert.deepEqual(smooth([null, null], 3), [null, null]);
  const values = fc.array(fc.double({ min: 0, max: 1000, noNaN: true }));
  fc.assert(fc.property(values, fc.integer({ min: 1, max: 9 }), (some, width) => {
    const smoothed = smooth([...some, ...new Array(width).fill(0)], width);
    const top = Math.max(0, ...some);
    for (const value of smoothed) assert.ok(value !== null && value >= 0 && value <= top * 1.000001 + 1e-9);
    assert.ok(smoothed.at(-1)! < 1e-6);
  }));
});

Deno.test("rates come from the totals of two overviews, exact also over a gap", () => {
  const toPoints = createLivePoints();
  assert.deepEqual(toPoints(overview(1000, { "images/resize": [100, 5] })).requests, {});
  const next = toPoints(overview(5000, { "images/resize": [140, 7], "images/new": [4, 0] }));
  assert.deepEqual(next.requests, { "images/resize": 10 });
  assert.deepEqual(next.errors, { "images/resize": 0.5 });
  assert.deepEqual(next.queue, { images: 3 });
});

Deno.test("a total that shrank with a manager's restart is no negative rate", () => {
  const toPoints = createLivePoints();
  toPoints(overview(1000, { "images/resize": [100, 5] }));
  const next = toPoints(overview(2000, { "images/resize": [3, 0] }));
  assert.deepEqual([next.requests, next.errors], [{ "images/resize": 0 }, { "images/resize": 0 }]);
});

Deno.test("a lost agent's last words are not drawn on, and a missing temperature is left out", () => {
  const host = { cpu: 0.5, memoryUsedBytes: 10, memoryTotalBytes: 20, load1: 1 };
  const points = createLivePoints()(overview(1000, {}, [
    { name: "attic", health: "ready", outstanding: 2, host },
    { name: "shed", health: "lost", outstanding: 1, host },
  ]));
  assert.deepEqual(points.cpu, { attic: 0.5 });
  assert.deepEqual(points.outstanding, { attic: 2 });
  assert.deepEqual(points.temperature, {});
});

import assert from "node:assert/strict";
import { Traffic } from "../../lib/deployment/traffic.ts";
import { limits } from "../../lib/limits.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";
import { SparseCounts } from "../../lib/metrics/sparse_counts.ts";

const windowMs = limits.trafficWindowMs;
const ok = (endpoint: string, revision: number, runUs = 1000) => (
  { endpoint, revision, code: "ok", runUs } as const
);

Deno.test("an arm is what the last two windows had, and the total is more than that", () => {
  const traffic = new Traffic();
  for (let window = 1; window <= 3; window++) {
    for (let at = 0; at < window; at++) traffic.observe(ok("images/resize", 2, 1000 * window));
    traffic.observe({ ...ok("images/resize", 2), code: "module_failed" });
    traffic.observe({ ...ok("images/resize", 2), code: "cancelled" });
    if (window < 3) traffic.rotate(window * windowMs);
  }
  const { arm, total } = traffic.arm("images/resize", 2);
  assert.deepEqual([arm.requests, arm.errors, arm.latency.count, total], [7, 2, 5, 9]);
  assert.ok(Math.abs(arm.latency.quantile(1)! - 3000) <= 30);
  assert.deepEqual(traffic.requests("images/resize", 2), { inArm: 7, total: 9 });
});

Deno.test("windows without a request forget no total, nor that it was called, before an hour has passed", () => {
  const traffic = new Traffic();
  for (let at = 0; at < 40; at++) traffic.observe(ok("images/resize", 2));
  let nowMs = 0;
  const silence = () => traffic.rotate(nowMs += windowMs);
  while (nowMs <= limits.calledLatelyMs) silence();
  assert.deepEqual(traffic.requests("images/resize", 2), { inArm: 0, total: 40 });
  assert.equal(traffic.lastCalledMs("images/resize", nowMs), windowMs);
  silence();
  assert.deepEqual(traffic.requests("images/resize", 2), { inArm: 0, total: 0 });
  assert.equal(traffic.lastCalledMs("images/resize", nowMs), undefined);
});

Deno.test("a revision that starts anew leaves it known that its endpoints are called", () => {
  const traffic = new Traffic();
  traffic.observe(ok("images/resize", 2));
  traffic.observe(ok("images/resize", 1));
  traffic.rotate(windowMs);
  traffic.observe(ok("images/thumbnail", 2));
  traffic.forget("images", 2, windowMs + 5);
  assert.deepEqual(traffic.requests("images/resize", 2), { inArm: 0, total: 0 });
  assert.deepEqual(traffic.requests("images/resize", 1), { inArm: 1, total: 1 });
  assert.equal(traffic.lastCalledMs("images/thumbnail", windowMs + 9), windowMs + 5);
});

Deno.test("so many are counted, and what is silent makes room for what is called", () => {
  const traffic = new Traffic();
  for (let at = 0; at < limits.trafficEndpointsMax; at++) traffic.observe(ok(`many/e${at}`, 1));
  traffic.observe(ok("images/resize", 1));
  assert.equal(traffic.requests("images/resize", 1).total, 0, "all others are called");
  traffic.rotate(windowMs);
  traffic.observe(ok("many/e0", 1));
  traffic.rotate(2 * windowMs);
  traffic.observe(ok("images/resize", 1));
  assert.equal(traffic.requests("images/resize", 1).total, 1);
  assert.equal(traffic.requests("many/e0", 1).total, 2);
  assert.equal(traffic.requests("many/e1", 1).total, 0);
});

Deno.test("sparse counts are a histogram's, and take room for the values that they saw only", () => {
  const counts = new SparseCounts();
  const exact = new Histogram();
  for (const us of [5000, 5100, 4000, 9000, 5000]) {
    counts.observe(us);
    exact.observe(us);
  }
  assert.ok(counts.length <= 96, `${counts.length} buckets`);
  for (const us of [-1, NaN, 0, 0.4, 1, 1e15]) {
    counts.observe(us);
    exact.observe(us);
  }
  const merged = new Histogram();
  counts.addTo(merged);
  assert.deepEqual(merged.toJSON(), exact.toJSON());
});

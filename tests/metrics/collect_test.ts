import assert from "node:assert/strict";
import { Collector } from "../../lib/metrics/collect.ts";
import { Histogram } from "../../lib/metrics/histogram.ts";

Deno.test("`take()` returns what was observed per endpoint and revision, once", () => {
  const collector = new Collector();
  collector.observe({ endpoint: "images/resize", revision: 1, runUs: 1000, failed: false });
  collector.observe({ endpoint: "images/resize", revision: 1, runUs: 3000, failed: true });
  collector.observe({ endpoint: "images/resize", revision: 2, runUs: 5000, failed: false });
  const samples = collector.take();
  assert.deepEqual(samples.map(({ latency: _, ...rest }) => rest), [
    { endpoint: "images/resize", revision: 1, count: 2, errors: 1 },
    { endpoint: "images/resize", revision: 2, count: 1, errors: 0 },
  ]);
  const latency = Histogram.fromJSON(samples[0].latency);
  assert.equal(latency.count, 2);
  assert.ok(Math.abs(latency.quantile(1)! - 3000) <= 30);
  assert.deepEqual(collector.take(), []);
});

Deno.test("an endpoint that comes back after a long idle time counts from zero", () => {
  const collector = new Collector();
  const outcome = { endpoint: "images/resize", revision: 1, runUs: 10, failed: false };
  collector.observe(outcome);
  for (let at = 0; at < 100; at++) collector.take();
  collector.observe(outcome);
  assert.equal(collector.take()[0].count, 1);
});

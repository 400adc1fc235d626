import assert from "node:assert/strict";
import { RecentRequests } from "../../lib/metrics/recent_requests.ts";
import { emptyOutcome, type RequestOutcome } from "../../lib/request_outcome.ts";

const startMs = 1_800_000_000_000;
const hourMs = 3600_000;

function finished(change: Partial<RequestOutcome> = {}): RequestOutcome {
  return {
    ...emptyOutcome(),
    endpoint: "images/resize",
    replicaSet: "images",
    revision: 2,
    agent: "pi-1",
    queueMs: 1,
    totalMs: 10,
    runUs: 8000,
    requester: "ada",
    number: 255,
    ...change,
  };
}

const all = { sinceMs: 0, limit: 1000 };

Deno.test("a request's time is told apart into queue, run and the way between", () => {
  const requests = new RecentRequests(18);
  requests.observe(finished(), startMs);
  assert.deepEqual(requests.slowest(all), [{
    requestId: "00000012000000ff",
    atMs: startMs,
    endpoint: "images/resize",
    revision: 2,
    agent: "pi-1",
    code: "ok",
    requester: "ada",
    queueMs: 1,
    totalMs: 10,
    runMs: 8,
    networkMs: 1,
  }]);
});

Deno.test("of many requests the slowest are kept, whatever the order they end in", () => {
  const requests = new RecentRequests(1);
  for (let at = 0; at < 1000; at++) requests.observe(finished({ totalMs: (at * 7919) % 1000 }), startMs + at);
  const slowest = requests.slowest(all).map(({ totalMs }) => totalMs);
  assert.deepEqual(slowest, [999, 998, 997, 996, 995, 994, 993, 992, 991, 990]);
  requests.observe(finished({ totalMs: 3 }), startMs + 60_000);
  assert.equal(requests.slowest(all).at(-1)?.totalMs, 3, "a new minute has room again");
});

Deno.test("failures are kept with what they say, newest first; more than fit are counted; cancels are none", () => {
  const requests = new RecentRequests(1);
  requests.observe(finished({ code: "cancelled" }), startMs);
  for (let at = 0; at < 25; at++) {
    requests.observe(finished({ code: "module_failed", runUs: 0, message: `no ${at}` }), startMs + at);
  }
  const failed = requests.failed({ ...all, limit: 2 });
  assert.deepEqual(failed.map(({ message }) => message), ["no 19", "no 18"]);
  assert.equal(failed[0].runMs, undefined, "without a reply nobody knows");
  assert.equal(requests.uncounted(0), 5);
});

Deno.test("what is older than an hour is gone, and a filter by endpoint leaves the others out", () => {
  const requests = new RecentRequests(1);
  requests.observe(finished({ endpoint: "maths/pi" }), startMs);
  requests.observe(finished(), startMs + hourMs - 1);
  assert.equal(requests.slowest({ ...all, endpoint: "maths/pi" }).length, 1);
  requests.observe(finished(), startMs + hourMs + 60_000);
  assert.deepEqual(requests.slowest(all).map(({ endpoint }) => endpoint), ["images/resize", "images/resize"]);
});

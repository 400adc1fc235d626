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
  const requests = new RecentRequests(18, startMs);
  requests.observe(finished(), startMs);
  assert.deepEqual(requests.list(all).slowest, [{
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
  const requests = new RecentRequests(1, startMs);
  for (let at = 0; at < 1000; at++) requests.observe(finished({ totalMs: (at * 7919) % 1000 }), startMs + at);
  const slowest = requests.list(all).slowest.map(({ totalMs }) => totalMs);
  assert.deepEqual(slowest, [999, 998, 997, 996, 995, 994, 993, 992, 991, 990]);
  requests.observe(finished({ totalMs: 3 }), startMs + 60_000);
  assert.equal(requests.list(all).slowest.at(-1)?.totalMs, 3, "a new minute has room again");
});

Deno.test("failures are kept with what they say, newest first; all are counted by kind; cancels are none", () => {
  const requests = new RecentRequests(1, startMs);
  requests.observe(finished({ code: "cancelled" }), startMs);
  for (let at = 0; at < 25; at++) {
    requests.observe(finished({ code: "queue_full", runUs: 0, message: `no ${at}` }), startMs + at);
  }
  requests.observe(finished({ code: "module_failed", runUs: 0, message: "threw" }), startMs + 30);
  const { failed, failures, answered } = requests.list({ ...all, limit: 2 });
  assert.deepEqual(failed.map(({ message }) => message), ["threw", "no 9"]);
  assert.equal(failed[0].runMs, undefined, "without a reply nobody knows");
  assert.deepEqual(failures, [{ code: "queue_full", count: 25 }, { code: "module_failed", count: 1 }]);
  assert.equal(answered, 0);
});

Deno.test("an endpoint's counts and its slowest are its own, however slow and frequent others are", () => {
  const requests = new RecentRequests(1, startMs + 10_000);
  for (let minute = 1; minute < 4; minute++) {
    for (let at = 0; at < 500; at++) {
      const atMs = startMs + minute * 60_000 + at;
      requests.observe(finished({ endpoint: `slow/e${at % 200}`, totalMs: 9000 }), atMs);
      requests.observe(finished({ endpoint: "slow/e0", code: "module_failed" }), atMs);
    }
    requests.observe(finished({ totalMs: 2 }), startMs + minute * 60_000);
  }
  const own = requests.list({ endpoint: "images/resize", sinceMs: startMs - hourMs, limit: 10 });
  assert.deepEqual(own.slowest.map(({ totalMs }) => totalMs), [2, 2, 2]);
  assert.deepEqual([own.answered, own.failures], [3, []]);
  assert.equal(own.sinceMs, startMs + 10_000, "before its start a manager knows nothing");
  const late = requests.list({ endpoint: "images/resize", sinceMs: startMs + 3 * 60_000 + 20, limit: 10 });
  assert.deepEqual([late.answered, late.sinceMs], [1, startMs + 3 * 60_000], "minutes are counted whole");
});

Deno.test("what a minute keeps is bounded, however many endpoints and failures there are", () => {
  const requests = new RecentRequests(1, startMs);
  for (let at = 0; at < 20_000; at++) {
    requests.observe(finished({ endpoint: `many/e${at % 1000}` }), startMs);
    requests.observe(finished({ endpoint: `many/e${at % 1000}`, code: "module_failed" }), startMs);
  }
  requests.observe(finished(), startMs + 60_000);
  const { slowest, failed, answered, failures } = requests.list({ sinceMs: 0, limit: 1e6 });
  assert.ok(slowest.length <= 300 && failed.length <= 300, `${slowest.length} and ${failed.length}`);
  assert.deepEqual([answered, failures[0].count], [20_001, 20_000]);
});

Deno.test("what is older than an hour is gone, and a filter by endpoint leaves the others out", () => {
  const requests = new RecentRequests(1, startMs);
  requests.observe(finished({ endpoint: "maths/pi" }), startMs);
  requests.observe(finished(), startMs + hourMs - 1);
  assert.equal(requests.list({ ...all, endpoint: "maths/pi" }).slowest.length, 1);
  requests.observe(finished(), startMs + hourMs + 60_000);
  assert.deepEqual(requests.list(all).slowest.map(({ endpoint }) => endpoint), [
    "images/resize",
    "images/resize",
  ]);
});

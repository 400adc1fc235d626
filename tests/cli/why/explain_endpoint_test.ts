import assert from "node:assert/strict";
import { type EndpointFacts, explainEndpoint } from "../../../lib/cli/why/explain_endpoint.ts";
import type { AgentView, ReplicaView, RequestView } from "../../../lib/protocol/views.ts";
import { agentView } from "./views.ts";

const nowMs = 1_800_000_000_000;
const spanMs = 15 * 60_000;

const replica = (agent: string): ReplicaView => ({
  replicaSet: "images",
  revision: 2,
  version: "1",
  agent,
  state: "ready",
  slots: 4,
  adaptive: true,
  outstanding: 0,
  runners: 1,
  cpuCores: 0,
  memoryBytes: 0,
  restarts: 0,
});

const agent = (name: string, change: Partial<AgentView["host"]> = {}): AgentView =>
  agentView({ name, host: { cpu: 0.2, load1: 0, memoryUsedBytes: 1, memoryTotalBytes: 4, ...change } });

function request(change: Partial<RequestView>): RequestView {
  const { queueMs = 1, runMs = 1, networkMs = 1 } = change;
  return {
    requestId: "00000012000000ff",
    atMs: 0,
    endpoint: "images/resize",
    revision: 2,
    agent: "pi-1",
    code: "ok",
    requester: "ada",
    queueMs,
    runMs,
    networkMs,
    totalMs: queueMs + runMs + networkMs,
    ...change,
  };
}

function facts(slowest: RequestView[], change: Partial<EndpointFacts["set"]> = {}): EndpointFacts {
  return {
    endpoint: {
      name: "resize",
      endpoint: "images/resize",
      replicaSet: "images",
      revision: 2,
      stream: false,
      readyReplicas: 2,
      queued: 0,
      outstanding: 3,
      requestsPerSecond: 12,
      errorsPerSecond: 0,
      p95Ms: 640,
      totalRequests: 0,
      totalErrors: 0,
      totalsSinceMs: 0,
    },
    set: {
      name: "images",
      version: "1",
      revision: 2,
      owner: "api",
      replicas: 2,
      ready: 2,
      wanted: 2,
      queued: 0,
      outstanding: 3,
      endpoints: ["images/resize"],
      placements: [replica("pi-1"), replica("pi-2")],
      ...change,
    },
    agents: [agent("pi-1"), agent("pi-2")],
    requests: { slowest, failed: [], answered: 480, failures: [], sinceMs: nowMs - spanMs },
    nowMs,
  };
}

const many = (change: Partial<RequestView>) => Array.from({ length: 10 }, () => request(change));

Deno.test("an endpoint whose slowest request is quick is fine", () => {
  assert.deepEqual(explainEndpoint(facts([request({ runMs: 30 })])), [
    "images/resize is fine: 12 requests/s, p95 640 ms; it answered 480 requests in the last 15 min, the slowest in 32 ms",
    "  its requests: 3 running, 0 waiting; images has 8 slots on 2 of 2 replicas",
  ]);
});

Deno.test("slow because of the queue, with what would help", () => {
  const waiting = facts(many({ queueMs: 900 }), { queued: 20, outstanding: 8 });
  waiting.endpoint.queued = 14;
  const lines = explainEndpoint(waiting);
  assert.match(lines[0], /is slow because requests wait for a free slot: 12 requests\/s, p95 640 ms/);
  assert.match(
    lines[1],
    /of the 10 slowest requests in the last 15 min, 100 % of the time was spent waiting/,
  );
  assert.match(lines[2], /its requests: 3 running, 14 waiting; images has 8 slots on 2 of 2 replicas, /);
  assert.match(lines[2], /5 of them taken by its other endpoints: it needs more replicas or machines$/);
});

Deno.test("slow because of one agent, and what ails it", () => {
  const hot = facts([...many({ runMs: 900, agent: "pi-2" }), request({ runMs: 800 })]);
  hot.agents = [agent("pi-1"), agent("pi-2", { throttled: true })];
  const [verdict] = explainEndpoint(hot);
  assert.match(verdict, /slow because agent pi-2 is slow \(it slows itself down: heat or undervoltage\)/);
  assert.match(verdict, /10 of 11 of the slowest ran there/);
});

Deno.test("slow because of the module, when all agents are alike or there is but one", () => {
  const alike = [...many({ runMs: 900 }), ...many({ runMs: 900, agent: "pi-2" })];
  assert.match(explainEndpoint(facts(alike))[0], /slow because its own code takes the time/);
  const alone = facts(many({ runMs: 900 }));
  alone.endpoint.readyReplicas = 1;
  assert.match(explainEndpoint(alone)[0], /slow because its own code takes the time/);
});

Deno.test("refused because nothing is ready, and why not", () => {
  const none = facts([], { ready: 0, pendingReason: "no agent has the label zone=attic" });
  none.endpoint.readyReplicas = 0;
  assert.deepEqual(explainEndpoint(none), [
    "images/resize is refused: none of 2 replicas of images is ready",
    "  because no agent has the label zone=attic",
    "  more: client why images",
  ]);
});

Deno.test("what sleeps is woken by the next request, and what is scaled to none is refused", () => {
  const asleep = facts([], { ready: 0, wanted: 0, replicas: { min: 0, max: 3 } });
  asleep.endpoint.readyReplicas = 0;
  assert.match(explainEndpoint(asleep)[0], /sleeps with images: the next request wakes it/);
  asleep.set.replicas = 0;
  assert.match(explainEndpoint(asleep)[0], /is refused: images is scaled to no replicas/);
});

Deno.test('refused because no agent takes a set for "all"', () => {
  const pendingReason = "No agent can run it: pi-1 is drained";
  const nowhere = facts([], { ready: 0, wanted: 0, replicas: "all", pendingReason });
  nowhere.endpoint.readyReplicas = 0;
  assert.deepEqual(explainEndpoint(nowhere).slice(0, 2), [
    "images/resize is refused: no agent takes images",
    "  because No agent can run it: pi-1 is drained",
  ]);
});

Deno.test("of the time before the manager's start nothing is said", () => {
  const fresh = facts([]);
  fresh.endpoint.totalsSinceMs = nowMs - 40_000;
  fresh.requests = { ...fresh.requests, answered: 0, sinceMs: nowMs - 40_000 };
  assert.equal(
    explainEndpoint(fresh)[0],
    "images/resize has answered nothing since the manager started 40 s ago; 12 requests/s now",
  );
});

Deno.test("failures are told by kind, the most frequent first, with the newest one's words", () => {
  const failing = facts([request({ runMs: 5 })]);
  failing.requests.failed = [
    request({ code: "queue_full", message: "The queue of images is full" }),
    request({ code: "module_failed", message: "no disk\nat line 3" }),
    request({ code: "module_failed", message: "older" }),
  ];
  failing.requests.failures = [{ code: "module_failed", count: 812 }, { code: "queue_full", count: 1 }];
  const lines = explainEndpoint(failing).slice(-2);
  assert.match(
    lines[0],
    /module_failed 812 times in the last 15 min: its code threw; one said: no disk \(/,
  );
  assert.match(lines[1], /queue_full once .*longer than the deadline allows; more replicas/);
});

Deno.test("a damped agent that runs it is named", () => {
  const given = facts([request({ runMs: 30 })]);
  given.agents = [agent("pi-1"), { ...agent("pi-2"), damped: { untilMs: 0 } }, {
    ...agent("pi-3"),
    damped: { untilMs: 0 },
  }];
  assert.deepEqual(explainEndpoint(given).slice(2), [
    "  pi-2 was lost again and again: others are asked first; more: client why pi-2",
  ]);
});

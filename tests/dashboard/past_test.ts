/** What the cluster looked like then, from what the manager tells of it and events; what neither holds is left out. */
import assert from "node:assert/strict";
import { describePast, stepsOf } from "../../dashboard/past.js";
import type {
  AgentView,
  EventView,
  OverviewView,
  PastRolloutView,
  PastView,
} from "../../lib/protocol/views.ts";

const atMs = 1_800_000_000_000;

let lastId = 0;
function event(kind: string, subject: string, beforeMs: number): EventView {
  return { id: ++lastId, atMs: atMs - beforeMs, level: "info", kind, subject, message: "" };
}

function rollout(change: Partial<PastRolloutView>): PastRolloutView {
  return {
    ...{ replicaSet: "images", fromRevision: 1, toRevision: 2, version: "1.1.0", state: "done" },
    ...{ startedAtMs: atMs - 60_000, endedAtMs: atMs - 50_000, ...change },
  };
}

const now = {
  cluster: { cluster: "attic", atMs: atMs + 3_600_000, problems: ["of now"], configurationErrors: [] },
  agents: [
    { name: "pi-1", health: "lost", labels: { zone: "attic" }, cores: 4, replicas: [{}], outstanding: 7 },
    {
      name: "pi-2",
      health: "ready",
      labels: {},
      cores: 4,
      replicas: [],
      host: { cpu: 0.9, memoryTotalBytes: 1000 },
    },
    {
      name: "pi-3",
      health: "ready",
      labels: {},
      cores: 4,
      replicas: [],
      host: { cpu: 0.9, memoryTotalBytes: 1000 },
    },
  ],
  endpoints: [
    {
      endpoint: "images/resize",
      requestsPerSecond: 99,
      p50Ms: 1,
      p95Ms: 2,
      p99Ms: 3,
      readyReplicas: 4,
      totalRequests: 5,
    },
    { endpoint: "images/crop", requestsPerSecond: 99, readyReplicas: 4 },
  ],
  replicaSets: [{
    name: "images",
    revision: 3,
    version: "2.0.0",
    ready: 2,
    wanted: 2,
    queued: 0,
    placements: [{}],
  }],
  events: [event("deployed", "images", 1000), event("deployed", "images", -1000)],
} as unknown as OverviewView;

const facts = {
  events: [
    event("agent_joined", "pi-1", 90_000),
    event("agent_joined", "pi-2", 90_000),
    event("agent_lost", "pi-2", 20_000),
    event("agent_cordoned", "pi-1", 20_000),
    event("agent_joined", "old", 95_000),
    event("agent_removed", "old", 30_000),
    event("agent_lost", "pi-1", -5000),
  ],
  past: {
    agents: [
      { name: "pi-1", cpu: 0.3, memory: 200, outstanding: 3 },
      { name: "pi-2", cpu: 0.4 },
      { name: "gone", cpu: 0.5 },
    ],
    replicaSets: [{ name: "images", ready: 1, wanted: 3, queued: 2 }],
  },
  endpoints: [{
    ...{ endpoint: "images/resize", requestsPerSecond: 15, errorsPerSecond: 0.5 },
    ...{ p50Ms: 20, p95Ms: 40, p99Ms: 60 },
  }],
};

function agentsThen(): Map<string, AgentView> {
  return new Map(describePast(now, facts, atMs).agents.map((agent) => [agent.name, agent]));
}

Deno.test("an agent is as events say of then, with the telemetry of then, whatever it is now", () => {
  const one = agentsThen().get("pi-1")!;
  assert.deepEqual([one.health, one.cordoned, one.outstanding], ["ready", true, 3]);
  assert.deepEqual([one.host?.cpu, one.host?.memoryUsedBytes], [0.3, 200]);
  assert.deepEqual(one.replicas, [], "no history holds where replicas were");
  const two = agentsThen().get("pi-2")!;
  assert.deepEqual([two.health, two.host, two.lastSeenAtMs], ["lost", undefined, atMs - 20_000]);
});

Deno.test("of an agent that nothing tells of nothing is made up; one that is forgotten now was there then", () => {
  const agents = agentsThen();
  assert.equal(String(agents.get("pi-3")!.health), "not recorded");
  assert.equal(agents.get("pi-3")!.host, undefined);
  assert.deepEqual([agents.get("gone")!.health, agents.get("gone")!.host?.cpu], ["ready", 0.5]);
  assert.equal(agents.has("old"), false);
});

Deno.test("endpoints are as they were over the time; who is not told of had no request, and before the answer nothing is known", () => {
  const past = describePast(now, facts, atMs);
  const [resize, crop] = past.endpoints;
  assert.deepEqual([resize.requestsPerSecond, resize.errorsPerSecond, resize.p95Ms], [15, 0.5, 40]);
  assert.deepEqual([resize.p50Ms, resize.p99Ms], [20, 60]);
  assert.deepEqual([resize.readyReplicas, resize.totalRequests], [undefined, undefined]);
  assert.deepEqual([crop.requestsPerSecond, crop.errorsPerSecond, crop.p95Ms], [0, 0, undefined]);
  assert.deepEqual([past.cluster.requestsPerSecond, past.cluster.queued, past.cluster.outstanding], [
    15,
    2,
    3,
  ]);
  assert.deepEqual(past.cluster.problems, ["Agent pi-2 was lost", "images had 1 of 3 replicas ready"]);
  assert.equal(past.cluster.health, "degraded");
  assert.deepEqual(past.events.map((each) => each.atMs), [atMs - 1000]);
  const early = describePast(now, { ...facts, endpoints: null }, atMs);
  assert.deepEqual(early.endpoints.map((each) => each.requestsPerSecond), [undefined, undefined]);
});

Deno.test("a set has the replicas that were counted then; none at all is an outage", () => {
  const of = (ready: number, wanted: number) => {
    const past = { ...facts.past, replicaSets: [{ name: "images", ready, wanted, queued: 0 }] };
    const { cluster, replicaSets: [set] } = describePast(now, { ...facts, past }, atMs);
    return [set.ready, set.wanted, cluster.health, cluster.problems.length];
  };
  assert.deepEqual(of(0, 2), [0, 2, "down", 2]);
  const other = { name: "text", ready: 1, wanted: 1, queued: 0 };
  const some = { ...facts.past, replicaSets: [{ name: "images", ready: 0, wanted: 2, queued: 0 }, other] };
  const both = { ...now, replicaSets: [now.replicaSets[0], { ...now.replicaSets[0], name: "text" }] };
  assert.equal(describePast(both, { ...facts, past: some }, atMs).cluster.health, "degraded", "text serves");
  assert.deepEqual(of(2, 2), [2, 2, "degraded", 1], "an agent is away all the same");
  assert.deepEqual(of(0, 0), [0, 0, "degraded", 1], "it sleeps");
});

Deno.test("an agent was damped from the event that says so to the one that ends it, a minute after its last loss at most", () => {
  const at = (...events: EventView[]) => {
    const past = describePast(now, { ...facts, events }, atMs);
    const agent = past.agents.find(({ name }) => name === "pi-2")!;
    return [agent.damped !== undefined, past.cluster.problems.includes("Agent pi-2 was damped")];
  };
  const back = (beforeMs: number) => event("agent_returned", "pi-2", beforeMs);
  assert.deepEqual(at(event("agent_damped", "pi-2", 30_000), back(20_000)), [true, true]);
  assert.deepEqual(at(event("agent_damped", "pi-2", 90_000), back(80_000)), [false, false]);
  const again = [event("agent_damped", "pi-2", 90_000), event("agent_lost", "pi-2", 50_000), back(40_000)];
  assert.deepEqual(at(...again), [true, true]);
  assert.deepEqual(at(...again, event("agent_undamped", "pi-2", 10_000)), [false, false]);
});

Deno.test("a set has the revision of then, and none of now's replicas; one that is not told of did not exist", () => {
  const setsThen = (replicaSets: PastView["replicaSets"]) =>
    describePast(now, { ...facts, past: { agents: [], replicaSets } }, atMs).replicaSets.map((
      { revision, version, ready, queued, placements },
    ) => [revision, version, ready, queued, placements.length]);
  const counted = { name: "images", ready: 1, wanted: 3, queued: 2 };
  assert.deepEqual(setsThen([{ ...counted, revision: 2, version: "1.1.0" }]), [[2, "1.1.0", 1, 2, 0]]);
  const unknown = [[0, "version not recorded", undefined, 0, 0]];
  assert.deepEqual(setsThen([{ name: "images", queued: 0 }]), unknown);
  assert.deepEqual(setsThen([]), []);
});

Deno.test("a rollout's steps end where the next one begins, and nothing else is among them", () => {
  const of = (kind: string, sinceMs: number) => event(kind, "images", -sinceMs);
  const events = [
    of("deployed", -10),
    of("rollout_started", 0),
    of("scaled", 5),
    of("rollout_failed", 20),
    of("deployed", 30),
    of("rollout_started", 31),
  ];
  const kinds = (change: Partial<PastRolloutView>) =>
    stepsOf([...events].reverse(), rollout({ startedAtMs: atMs, ...change })).map(({ kind }) => kind);
  const first = ["deployed", "rollout_started"];
  assert.deepEqual(kinds({ state: "failed", endedAtMs: atMs + 20 }), [...first, "rollout_failed"]);
  assert.deepEqual(kinds({ state: "replaced", endedAtMs: atMs + 30 }), [...first, "rollout_failed"]);
  assert.equal(kinds({ state: "progressing", endedAtMs: undefined }).length, 5);
});

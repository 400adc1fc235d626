/** What the cluster looked like then, from history and events; what neither holds is left out. */
import assert from "node:assert/strict";
import { describePast, stepsOf } from "../../dashboard/past.js";
import type {
  AgentView,
  EventView,
  MetricsView,
  OverviewView,
  PastRolloutView,
} from "../../lib/protocol/views.ts";

const atMs = 1_800_000_000_000;

function metrics(columns: Record<string, Record<string, (number | null)[]>>): Record<string, MetricsView> {
  return Object.fromEntries(
    Object.entries(columns).map(([series, byLabel]) => [series, {
      ...{ series, resolutionMs: 10_000, timesMs: [] },
      columns: Object.entries(byLabel).map(([label, values]) => ({ label, values })),
    }]),
  );
}

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
  metrics: metrics({
    cpu: { "pi-1": [0.2, 0.3], "pi-2": [0.4, null, null, null], gone: [0.5] },
    memory: { "pi-1": [100, 200] },
    outstanding: { "pi-1": [1, 3] },
    requests: { "images/resize": [10, 20] },
    errors: { "images/resize": [0, 1] },
    endpointLatency: { "images/resize": [null, 40] },
    queue: { images: [9, 2] },
  }),
  events: [
    event("agent_joined", "pi-1", 90_000),
    event("agent_joined", "pi-2", 90_000),
    event("agent_lost", "pi-2", 20_000),
    event("agent_cordoned", "pi-1", 20_000),
    event("agent_joined", "old", 95_000),
    event("agent_removed", "old", 30_000),
    event("agent_lost", "pi-1", -5000),
  ],
  rollouts: [rollout({})],
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

Deno.test("rates are means over the time; no column means none, unless columns were left out", () => {
  const past = describePast(now, facts, atMs);
  const [resize, crop] = past.endpoints;
  assert.deepEqual([resize.requestsPerSecond, resize.errorsPerSecond, resize.p95Ms], [15, 0.5, 40]);
  assert.deepEqual([resize.p50Ms, resize.readyReplicas, resize.totalRequests], [
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(crop.requestsPerSecond, 0);
  assert.deepEqual([past.cluster.requestsPerSecond, past.cluster.queued, past.cluster.outstanding], [
    15,
    2,
    3,
  ]);
  assert.deepEqual(past.cluster.problems, ["Agent pi-2 was lost"]);
  assert.deepEqual(past.events.map((each) => each.atMs), [atMs - 1000]);
  const full = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`set/f${index}`, [1]]));
  const busy = describePast(now, { ...facts, metrics: metrics({ requests: full }) }, atMs);
  assert.equal(busy.endpoints[1].requestsPerSecond, undefined);
});

Deno.test("a set has the revision that its rollouts say was in force, and none of now's replicas", () => {
  const setsThen = (rollouts: PastRolloutView[]) =>
    describePast(now, { ...facts, rollouts }, atMs).replicaSets.map((
      { revision, version, ready, placements },
    ) => ({
      ...{ revision, version, ready, placements: placements.length },
    }));
  const unknown = { ready: undefined, placements: 0 };
  assert.deepEqual(setsThen([rollout({})]), [{ revision: 2, version: "1.1.0", ...unknown }]);
  const first = rollout({ fromRevision: 0, toRevision: 1, version: "1.0.0", startedAtMs: atMs - 90_000 });
  const failed = [rollout({ state: "failed" }), first];
  assert.deepEqual(setsThen(failed), [{ revision: 1, version: "1.0.0", ...unknown }]);
  const later = rollout({ startedAtMs: atMs + 1000, endedAtMs: atMs + 2000 });
  assert.deepEqual(setsThen([later, first]), [{ revision: 1, version: "1.0.0", ...unknown }]);
  assert.deepEqual(setsThen([{ ...first, startedAtMs: atMs + 1 }]), [], "it was deployed later");
  const older = [{ revision: 1, version: "version not recorded", ...unknown }];
  assert.deepEqual(setsThen([later]), older, "the one that it began with is not kept");
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

/** What the dashboard, the client's tables, `/metrics` and `/openapi.json` show of a cluster. */
import assert from "node:assert/strict";
import { createLive } from "../../lib/manager/api/live.ts";
import type {
  EndpointsPastView,
  EventView,
  OverviewView,
  PastRolloutView,
  PastView,
  RevisionView,
} from "../../lib/protocol/views.ts";
import { emptyOutcome } from "../../lib/request_outcome.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { joined, type ManagerRig, openRig, type Peer, reportOf, settle, telemetryOf } from "./rig.ts";

async function rigWithAgent(): Promise<{ rig: ManagerRig; peer: Peer }> {
  const rig = await openRig();
  await rig.signUp("ada", "viewer");
  rig.deploy("images", "export function resize() {}");
  return { rig, peer: await joined(rig) };
}

async function read<T>(rig: ManagerRig, path: string): Promise<T> {
  const response = await rig.http("GET", path, { user: "ada" });
  assert.equal(response.status, 200, path);
  return await response.json();
}

async function report(peer: Peer, change: Parameters<typeof reportOf>[0]): Promise<void> {
  const { generation, replicas: [{ handle }] } = peer.of("desired")[0];
  peer.send({ type: "state", generation, replicas: [reportOf({ handle, ...change })] });
  await settle();
}

Deno.test("a replica goes from pending over loading to ready, and the cluster's health with it", async () => {
  const { rig, peer } = await rigWithAgent();
  const overview = () => read<OverviewView>(rig, "/v1/overview");
  const before = await overview();
  assert.deepEqual(before.replicaSets[0].placements.map(({ agent, state }) => [agent, state]), [[
    "pi-1",
    "pending",
  ]]);
  assert.equal(before.cluster.health, "down");
  assert.deepEqual(before.cluster.problems, ["images has 0 of 1 replica ready"]);

  await report(peer, { state: "loading", reason: "waits for its ready()", slots: 0 });
  const loading = (await overview()).replicaSets[0].placements[0];
  assert.deepEqual([loading.state, loading.reason], ["loading", "waits for its ready()"]);

  await report(peer, {});
  const ready = await overview();
  assert.deepEqual([ready.cluster.health, ready.replicaSets[0].ready], ["ok", 1]);
  assert.deepEqual(ready.endpoints.map(({ endpoint, readyReplicas }) => [endpoint, readyReplicas]), [
    ["images/resize", 1],
  ]);
  assert.equal(ready.agents[0].slots, 2);
  assert.equal(ready.agents[0].replicas[0].adaptive, true);

  peer.send(telemetryOf(1));
  rig.clock.advance(500);
  const [well] = (await overview()).agents;
  assert.deepEqual([well.host?.cpu, well.agentMemoryBytes, well.slots], [0.1, 1, 2]);
  peer.channel.abandon("power cut");
  await settle();
  const lost = await overview();
  assert.deepEqual([lost.agents[0].health, lost.agents[0].replicas[0].state], ["lost", "lost"]);
  assert.equal(lost.cluster.health, "down");
  const [{ host, agentCpuCores, agentMemoryBytes, slots, connectedAtMs }] = lost.agents;
  assert.deepEqual([host, agentCpuCores, agentMemoryBytes, slots], [undefined, undefined, undefined, 0]);
  assert.equal(connectedAtMs, undefined);

  await joined(rig);
  const [again] = (await overview()).agents;
  assert.equal(again.connectedAtMs, rig.clock.nowMs(), "counts from this connection");
  assert.equal(again.joinedAtMs, rig.clock.nowMs() - 500, "counts from the first one ever");
  rig.close();
});

Deno.test("a cluster is down only while nothing serves that should: one new set that fails does not make it so", async () => {
  const { rig, peer } = await rigWithAgent();
  await report(peer, {});
  const health = async () => (await read<OverviewView>(rig, "/v1/overview")).cluster.health;
  assert.equal(await health(), "ok");
  rig.deploy("sums", "throw 1;");
  await settle();
  assert.equal(await health(), "degraded");
  rig.deployments.scale("images", 0, "ada");
  await settle();
  assert.equal(await health(), "down", "what is scaled to none is not asked to serve");
  rig.deployments.scale("sums", 0, "ada");
  await settle();
  assert.equal(await health(), "ok");
  rig.deployments.scale("images", "all", "ada");
  await rig.signUp("bea", "operator");
  const drained = await rig.http("POST", "/v1/agents/pi-1/drain", { user: "bea" });
  await drained.body?.cancel();
  await settle();
  assert.equal(await health(), "down", "nobody is left to run it");
  rig.close();
});

Deno.test("of a past time it is told how many replicas there were, and what each endpoint did", async () => {
  const { rig, peer } = await rigWithAgent();
  const startMs = rig.clock.nowMs();
  // The wall clock is moved for what is told apart by 10 s: the agent would not be waited for as long.
  rig.clock.jumpWall(8000);
  rig.clock.advance(1000);
  await report(peer, {});
  const outcome = { ...emptyOutcome(), endpoint: "images/resize", replicaSet: "images", code: "ok" as const };
  rig.core.metrics.observeRequest({ ...outcome, totalMs: 20 });
  rig.clock.advance(1000);
  rig.clock.jumpWall(11_000);
  peer.channel.abandon("power cut");
  await settle();
  rig.clock.advance(1000);
  const past = (ms: number) => read<PastView>(rig, `/v1/past?atMs=${startMs + ms}`);
  const check = async () => {
    const images = { name: "images", wanted: 1, queued: 0, revision: 1, version: "1.0.0" };
    assert.deepEqual((await past(9500)).replicaSets, [{ ...images, ready: 0 }]);
    assert.deepEqual((await past(20_000)).replicaSets, [{ ...images, ready: 1 }]);
    assert.equal((await past(22_000)).replicaSets[0].ready, 0);
    const path = `/v1/past/endpoints?fromMs=${startMs}&toMs=${startMs + 20_000}`;
    const { endpoints: [resize] } = await read<EndpointsPastView>(rig, path);
    assert.deepEqual([resize.endpoint, resize.requestsPerSecond], ["images/resize", 1 / 20]);
  };
  await check();
  // And once it is stored.
  rig.clock.advance(120_000);
  await check();
  const refused = await rig.http("GET", `/v1/past/endpoints?fromMs=5&toMs=5`, { user: "ada" });
  assert.equal(refused.status, 400);
  rig.close();
});

Deno.test("of a set whose newest revision failed, the one that serves instead is shown as its own", async () => {
  const { rig, peer } = await rigWithAgent();
  await report(peer, {});
  rig.store.deployments.setGood("images", 1);
  rig.deploy("images", "export function resize() { throw 1; }");
  await settle();
  const [{ rollout }] = (await read<OverviewView>(rig, "/v1/overview")).replicaSets;
  assert.deepEqual([rollout?.toRevision, rollout?.state, rollout?.fallback], [2, "progressing", 1]);
  const { generation, replicas } = peer.of("desired").at(-1)!;
  const failed = replicas.find(({ revision }) => revision === 2)!;
  const kept = replicas.find(({ revision }) => revision === 1);
  peer.send({
    type: "state",
    generation,
    replicas: [
      ...(kept ? [reportOf({ handle: kept.handle })] : []),
      reportOf({ handle: failed.handle, revision: 2, state: "failed", reason: "it throws", slots: 0 }),
    ],
  });
  await settle();
  const [set] = (await read<OverviewView>(rig, "/v1/overview")).replicaSets;
  assert.deepEqual([set.revision, set.rollout?.toRevision, set.rollout?.state], [1, 2, "failed"]);
  const { revisions } = await read<{ revisions: RevisionView[] }>(rig, "/v1/revisions?replicaSet=images");
  assert.deepEqual(revisions.filter(({ current }) => current).map(({ revision }) => revision), [1]);
  rig.close();
});

Deno.test("reads find one thing by its name, or say which ones are near", async () => {
  const { rig, peer } = await rigWithAgent();
  await report(peer, {});
  assert.equal((await read<{ name: string }>(rig, "/v1/agents/pi-1")).name, "pi-1");
  assert.equal(
    (await read<{ endpoint: string }>(rig, "/v1/endpoints/images/resize")).endpoint,
    "images/resize",
  );
  const { revisions } = await read<{ revisions: { replicaSet: string }[] }>(
    rig,
    "/v1/revisions?replicaSet=images",
  );
  assert.equal(revisions.length, 1);
  assert.deepEqual(await read(rig, "/v1/revisions?replicaSet=none"), { revisions: [] });
  const response = await rig.http("GET", "/v1/replicasets/image", { user: "ada" });
  assert.equal(response.status, 404);
  assert.match((await response.json()).error.message, /did you mean images\?/);
  const { events } = await read<{ events: unknown[] }>(rig, "/v1/events?kind=agent_lost,rolled_back");
  assert.deepEqual(events, []);
  const unknown = await rig.http("GET", "/v1/events?kind=agent_lots", { user: "ada" });
  assert.match((await unknown.json()).error.message, /is "agent_lots", did you mean `agent_lost`\?$/);
  for (const query of ["limit=x", "limit=-1", "afterId=NaN"]) {
    const refused = await rig.http("GET", `/v1/events?${query}`, { user: "ada" });
    assert.equal(refused.status, 400, query);
    await refused.body?.cancel();
  }
  rig.close();
});

Deno.test("`/openapi.json` describes the endpoints that have shown themselves, and refers to nothing it lacks", async () => {
  const { rig, peer } = await rigWithAgent();
  type Document = { paths: Record<string, unknown>; components: Record<string, Record<string, unknown>> };
  assert.deepEqual((await read<Document>(rig, "/openapi.json")).paths, {});
  const input = { type: "object", required: ["url"] };
  await report(peer, {
    endpoints: [{ name: "resize", stream: true, input, description: "Makes it smaller." }],
  });
  const document = await read<Document>(rig, "/openapi.json");
  assert.deepEqual(Object.keys(document.paths), ["/v1/invoke/images/resize"]);
  const text = JSON.stringify(document);
  assert.ok(text.includes("Makes it smaller.") && text.includes(JSON.stringify(input)));
  for (const [, kind, name] of text.matchAll(/"#\/components\/(\w+)\/(\w+)"/g)) {
    assert.ok(document.components[kind]?.[name], `${kind}/${name}`);
  }
  rig.close();
});

Deno.test("an overview of 50 agents and 200 endpoints takes a small part of the second it is made for", async () => {
  const { rig } = await rigWithAgent();
  const sets = 40;
  for (let set = 0; set < sets; set++) rig.deploy(`set-${set}`, `export const a = ${set};`);
  for (const { name } of rig.store.deployments.loadAll()) {
    rig.store.deployments.setReplicasOverride(name, "all");
  }
  rig.core.controller.reload();
  const peers = await Promise.all(
    Array.from(
      { length: 50 },
      (_, index) =>
        joined(rig, { name: `agent-${index}`, identity: `identity-of-${index}-000`, memoryBytes: 2 ** 36 }),
    ),
  );
  for (const peer of peers) {
    const { generation, replicas } = peer.of("desired").at(-1)!;
    const endpoints = ["a", "b", "c", "d", "e"].map((name) => ({ name, stream: false }));
    const reports = replicas.map(({ handle, replicaSet, revision }) =>
      reportOf({ handle, replicaSet, revision, endpoints })
    );
    peer.send({ type: "state", generation, replicas: reports });
  }
  await settle();
  const overview = await read<OverviewView>(rig, "/v1/overview");
  assert.ok(overview.endpoints.length >= 200, String(overview.endpoints.length));
  let bestMs = Infinity;
  for (let round = 0; round < 3; round++) {
    const startMs = performance.now();
    await read(rig, "/v1/overview");
    bestMs = Math.min(bestMs, performance.now() - startMs);
  }
  assert.ok(bestMs < 250, `${Math.round(bestMs)} ms`);
  rig.close();
});

Deno.test("the live view is computed once for all who watch, drops who doesn't read, and stops with the last", async () => {
  const clock = new ManualClock();
  let snapshots = 0;
  const live = createLive(clock, () => String(++snapshots));
  const readers = [live.response(), live.response()].map((response) => response.body!.getReader());
  const sleeper = live.response().body!.getReader();
  const text = async (reader: (typeof readers)[number]) =>
    new TextDecoder().decode((await reader.read()).value);
  for (const reader of readers) assert.match(await text(reader), /^retry: 1000\ndata: \d\n\n$/);
  for (let second = 1; second <= 6; second++) {
    const before = snapshots;
    clock.advance(1000);
    assert.equal(snapshots, before + 1);
    for (const reader of readers) assert.equal(await text(reader), `data: ${snapshots}\n\n`);
  }
  let events = 0;
  while (!(await sleeper.read()).done) events++;
  assert.ok(events <= 5, `${events} events were kept for who didn't read`);
  for (const reader of readers) await reader.cancel();
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("rollouts are listed newest first, each with the event that began it; events by several kinds", async () => {
  const { rig, peer } = await rigWithAgent();
  const { store, core } = rig;
  core.events.record("info", "deployed", "images", "ada deployed images 1.0.0 as revision 1");
  await settle();
  const [first] = (await read<{ rollouts: PastRolloutView[] }>(rig, "/v1/rollouts")).rollouts;
  assert.deepEqual([first.replicaSet, first.state, first.version], ["images", "progressing", "1.0.0"]);
  assert.equal(first.cause, "ada deployed images 1.0.0 as revision 1");
  rig.clock.advance(1000);
  core.events.record("info", "rollout_undone", "images", "ada set images back");
  const { replicaSet, toRevision } = first;
  store.deployments.saveRollout({
    ...{ replicaSet, fromRevision: 2, toRevision, state: "done" },
    startedAtMs: rig.clock.nowMs(),
  });
  core.events.record("info", "deployed", "texts", "ada deployed texts");
  const { rollouts } = await read<{ rollouts: PastRolloutView[] }>(
    rig,
    "/v1/rollouts?replicaSet=images&limit=5",
  );
  assert.deepEqual(rollouts.map(({ state, cause }) => [state, cause]), [
    ["done", "ada set images back"],
    ["replaced", "ada deployed images 1.0.0 as revision 1"],
  ]);
  assert.deepEqual((await read<{ rollouts: [] }>(rig, "/v1/rollouts?replicaSet=texts")).rollouts, []);
  assert.equal((await read<{ rollouts: [] }>(rig, "/v1/rollouts?limit=1")).rollouts.length, 1);
  const untilMs = rig.clock.nowMs();
  const before = await read<{ rollouts: PastRolloutView[] }>(rig, `/v1/rollouts?untilMs=${untilMs}&limit=1`);
  assert.deepEqual(before.rollouts.map(({ startedAtMs }) => startedAtMs), [first.startedAtMs]);
  const kinds = "/v1/events?kind=deployed,rollout_undone";
  const { events } = await read<{ events: EventView[] }>(rig, kinds);
  assert.deepEqual(events.map(({ kind }) => kind), ["deployed", "rollout_undone", "deployed"]);
  peer.channel.abandon("over");
  rig.close();
});

import assert from "node:assert/strict";
import {
  buildRoutes,
  emptyRoutes,
  lookup,
  type RoutingAgent,
  type RoutingTable,
} from "../../lib/cluster/routing.ts";
import type { ReplicaReport } from "../../lib/protocol/messages.ts";
import type { Revision } from "../../lib/protocol/revision.ts";

function revision(replicaSet: string, number = 1): Revision {
  return {
    replicaSet,
    revision: number,
    createdAtMs: 0,
    createdBy: "test",
    specification: {
      name: replicaSet,
      version: "1",
      modules: [],
      replicas: 1,
      placement: {},
      permissions: {},
      env: {},
      memoryMb: 64,
      queueMax: 7,
      timeoutMs: 5000,
      idempotent: false,
      rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 0, deadlineMs: 1 },
    },
  };
}

function agent(
  name: string,
  parts: Partial<ReplicaReport>,
  health: RoutingAgent["health"] = "ready",
): RoutingAgent {
  const base: ReplicaReport = {
    handle: 1,
    replicaSet: "images",
    revision: 1,
    state: "ready",
    slots: 4,
    endpoints: [{ name: "resize", stream: false }],
  };
  return { name, health, reports: [{ ...base, ...parts }] };
}

const functions = (...names: string[]) => names.map((name) => ({ name, stream: false }));
const agentsOf = (table: RoutingTable, name: string) =>
  table.endpoints.get(name)?.replicas.map((replica) => replica.agent);

Deno.test("an endpoint is routed to the ready replicas of ready agents only", () => {
  const table = buildRoutes([revision("images")], [
    agent("a", { handle: 3 }),
    agent("b", {}, "suspect"),
    agent("c", {}, "lost"),
    agent("d", { state: "loading" }),
    agent("e", { state: "stopping" }),
    agent("f", { slots: 0 }),
  ]);
  assert.deepEqual(agentsOf(table, "images/resize"), ["a"]);
  assert.deepEqual(table.sets.get("images")!.replicas, [
    { agent: "a", handle: 3, replicaSet: "images", revision: 1, slots: 4, adaptive: false },
  ]);
});

Deno.test("what the module says of an endpoint goes before what the set says", () => {
  const endpoints = [
    { name: "resize", stream: false, timeoutMs: 100, idempotent: true },
    ...functions("crop"),
  ];
  const table = buildRoutes([revision("images")], [agent("a", { endpoints })]);
  const [resize, crop] = ["images/resize", "images/crop"].map((name) => table.endpoints.get(name)!);
  assert.deepEqual([resize.timeoutMs, resize.idempotent], [100, true]);
  assert.deepEqual([crop.timeoutMs, crop.idempotent], [5000, false]);
  assert.equal(table.sets.get("images")!.queueMax, 7);
});

Deno.test("of two revisions each endpoint goes where it is loaded, described by the newest", () => {
  const table = buildRoutes([revision("images", 2)], [
    agent("new", {
      revision: 2,
      endpoints: [{ name: "resize", stream: false, description: "newer" }, ...functions("crop")],
    }),
    agent("old", { revision: 1, endpoints: functions("resize", "rotate") }),
  ]);
  assert.deepEqual(agentsOf(table, "images/resize"), ["new", "old"]);
  assert.deepEqual(agentsOf(table, "images/crop"), ["new"]);
  assert.deepEqual(agentsOf(table, "images/rotate"), ["old"]);
  assert.equal(table.endpoints.get("images/resize")!.description.description, "newer");
});

Deno.test("an endpoint exists while nothing is ready: from lost agents' reports, or from the table before", () => {
  const sets = [revision("images")];
  const lost = buildRoutes(sets, [agent("a", {}, "lost")]);
  assert.deepEqual(agentsOf(lost, "images/resize"), []);
  const before = buildRoutes(sets, [agent("a", {})]);
  const reloading = buildRoutes(sets, [agent("a", { state: "loading", endpoints: [] })], before);
  assert.deepEqual(agentsOf(reloading, "images/resize"), []);
  assert.equal(lookup(reloading, "images/nope").kind, "none");
});

Deno.test("an endpoint that the wanted revision no longer has is gone once that revision is ready", () => {
  const before = buildRoutes([revision("images", 1)], [
    agent("a", { endpoints: functions("resize", "rotate") }),
  ]);
  const agents = [
    agent("a", { revision: 2, endpoints: functions("resize") }),
    agent("b", { revision: 1, endpoints: functions("resize", "rotate") }, "lost"),
  ];
  const table = buildRoutes([revision("images", 2)], agents, before);
  assert.equal(lookup(table, "images/rotate").kind, "none");
  assert.equal(lookup(table, "images/resize").kind, "endpoint");
});

Deno.test("a set is unknown until a replica has shown its functions: any of its names may exist", () => {
  const table = buildRoutes([revision("images"), revision("text")], []);
  const found = lookup(table, "images/anything");
  assert.ok(found.kind === "maybe" && found.set.name === "images");
  assert.equal(lookup(table, "images/").kind, "none");
  assert.equal(lookup(table, "other/anything").kind, "none");
  const shown = buildRoutes([revision("images")], [agent("a", { endpoints: [] })], table);
  assert.equal(lookup(shown, "images/anything").kind, "none", "ready, and it has none");
});

Deno.test("not_found names near misses and what the set has", () => {
  const table = buildRoutes([revision("images")], [agent("a", { endpoints: functions("resize", "crop") })]);
  const none = lookup(table, "images/resise");
  assert.ok(none.kind === "none");
  assert.equal(none.error.code, "not_found");
  assert.equal(
    none.error.message,
    "images has crop, resize, but no endpoint images/resise, did you mean images/resize?",
  );
  assert.deepEqual(none.error.details, { nearMisses: ["images/resize"], functions: ["crop", "resize"] });
  const otherSet = lookup(table, "image/resize");
  assert.ok(otherSet.kind === "none");
  assert.match(otherSet.error.message, /no endpoint image\/resize, did you mean images\/resize\?$/);
  const bare = lookup(table, "resize");
  assert.ok(bare.kind === "none");
  assert.match(
    bare.error.message,
    /replicaSet\/function, this one is "resize", did you mean images\/resize\?/,
  );
});

Deno.test("a table that was handed out never changes", () => {
  const first = buildRoutes([revision("images")], [agent("a", {})]);
  const second = buildRoutes([revision("images")], [agent("a", {}), agent("b", {})], first);
  assert.deepEqual(agentsOf(first, "images/resize"), ["a"]);
  assert.deepEqual(agentsOf(second, "images/resize"), ["a", "b"]);
  assert.equal(buildRoutes([], [agent("a", {})], second).endpoints.size, 0);
  assert.equal(emptyRoutes.sets.size, 0);
});

Deno.test("replicas on damped agents are routed, and marked", () => {
  const table = buildRoutes([revision("images")], [agent("a", {}), { ...agent("b", {}), damped: true }]);
  const { replicas } = table.endpoints.get("images/resize")!;
  assert.deepEqual(replicas.map(({ agent, damped }) => [agent, damped]), [["a", undefined], ["b", true]]);
});

import assert from "node:assert/strict";
import { explainAgent, explainReplicaSet } from "../../../lib/cli/why/explain.ts";
import type { ReplicaSetView, ReplicaView } from "../../../lib/protocol/views.ts";
import { agentView } from "./views.ts";

const replica: ReplicaView = {
  replicaSet: "images",
  revision: 2,
  version: "1",
  agent: "pi-1",
  state: "loading",
  slots: 0,
  outstanding: 0,
  runners: 1,
  cpuCores: 0,
  memoryBytes: 0,
  restarts: 0,
};

const set: ReplicaSetView = {
  name: "images",
  version: "1",
  revision: 2,
  owner: "api",
  replicas: 1,
  ready: 0,
  wanted: 1,
  queued: 1,
  outstanding: 0,
  endpoints: [],
  placements: [replica],
};

const agent = agentView({ replicas: [replica], connectedAtMs: 0, lastSeenAtMs: 5000 });

Deno.test("a set tells how far it is, what stands in its way, and how many wait, of one as of many", () => {
  assert.deepEqual(explainReplicaSet(set, []), [
    "images is not complete: 0 of 1 replica is ready",
    "On pi-1: revision 2 loads its modules",
    "1 request waits: every ready replica is busy, or none is ready",
  ]);
  const [state, , waiting] = explainReplicaSet({ ...set, wanted: 3, queued: 2 }, []);
  assert.equal(state, "images is not complete: 0 of 3 replicas are ready");
  assert.match(waiting, /^2 requests wait:/);
});

Deno.test('a set for "all" that no agent takes is not called scaled to none', () => {
  const pendingReason = "No agent can run it: pi-1 is drained";
  const nowhere = { ...set, replicas: "all", wanted: 0, queued: 0, placements: [], pendingReason } as const;
  assert.deepEqual(explainReplicaSet({ ...nowhere, placements: [] }, []), [
    "images runs nowhere: it is to run on every agent that fits, and none takes it",
    "Pending: No agent can run it: pi-1 is drained",
  ]);
  const none = { ...nowhere, placements: [], replicas: 0, pendingReason: undefined };
  assert.deepEqual(explainReplicaSet(none, []), ["images is scaled to no replicas"]);
});

Deno.test("an agent that is lost runs nothing that anybody knows of", () => {
  assert.equal(explainAgent(agent, [])[0], "pi-1 is ready and runs 1 replica");
  const lost = { ...agent, health: "lost", connectedAtMs: undefined } as const;
  assert.equal(
    explainAgent(lost, [])[0],
    "pi-1 is lost: it was last seen at 1970-01-01 00:00:05, with 1 replica",
  );
});

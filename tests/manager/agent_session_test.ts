/** An agent's connection and the deployment behind it: registry, desired state, routes and requests. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, Flag, Op } from "../../lib/protocol/frame.ts";
import type { Principal } from "../../lib/security/access.ts";
import { RecordingSink } from "../scheduling/rig.ts";
import { eventually } from "../support/eventually.ts";
import {
  agentHello,
  agentPrincipal,
  clientHello,
  joined,
  type ManagerRig,
  openRig,
  reportOf,
  reportReady,
  settle,
  telemetryOf,
} from "./rig.ts";

function invoke(rig: ManagerRig, options: { idempotent?: boolean } = {}): RecordingSink {
  const sink = new RecordingSink();
  const flags = options.idempotent ? Flag.idempotent : 0;
  const frame = encodeFrame({ op: Op.request, id: 5, name: "images/resize", a: 20_000, flags });
  const requester = { id: "test", describe: "test", sink, mayInvoke: () => true };
  rig.core.dispatcher.admit(requester, frame, 0, frame.length);
  return sink;
}

const routedReplicas = (rig: ManagerRig) =>
  rig.core.controller.routes.endpoints.get("images/resize")?.replicas ?? [];

Deno.test("an agent is told what to run after its welcome, in generations that grow", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  const peer = await joined(rig);
  assert.deepEqual(peer.messages.map((message) => message.type), ["welcome", "desired"]);
  const [first] = peer.of("desired");
  assert.deepEqual(first.replicas.map(({ replicaSet, revision }) => [replicaSet, revision]), [["images", 1]]);

  rig.deploy("sums", "export function add() {}");
  await settle();
  const second = peer.of("desired")[1];
  assert.ok(second.generation > first.generation);
  assert.equal(second.replicas.length, 2);
  // A report alone changes nothing that the agent shall run.
  await reportReady(peer);
  assert.equal(peer.of("desired").length, 2);
  rig.close();
});

Deno.test("an agent with nothing to run is told so, since it may still run what was before", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  assert.deepEqual(peer.of("desired").map(({ replicas }) => replicas), [[]]);
  rig.close();
});

Deno.test("a replica is routed once it has shown itself ready, by the handle of this manager only", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  // What it loaded under an earlier manager has a handle of that one.
  const peer = await joined(rig, { replicas: [reportOf({ handle: 77 })] });
  assert.deepEqual(routedReplicas(rig), []);
  const { handle } = peer.of("desired")[0].replicas[0];
  await reportReady(peer);
  assert.deepEqual(routedReplicas(rig).map((replica) => [replica.agent, replica.handle]), [["pi-1", handle]]);

  const sink = invoke(rig);
  await settle();
  const [request] = peer.frames;
  assert.equal(request.b >>> 8, handle);
  peer.sendFrame({ op: Op.reply, id: request.id, body: new TextEncoder().encode("42") });
  await settle();
  assert.equal(new TextDecoder().decode(sink.of(Op.reply)[0].body), "42");
  rig.close();
});

Deno.test("an agent that comes back with a revision of a set that was deleted and made anew runs the new one", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  rig.store.deployments.deleteSet("images", rig.clock.nowMs());
  rig.deploy("images", "export function resize() { return 2; }");
  const peer = await joined(rig, { replicas: [reportOf({ revision: 1 })] });
  assert.deepEqual(peer.of("desired").at(-1)!.replicas.map(({ revision }) => revision), [2]);
  rig.close();
});

Deno.test("a report of an older generation is ignored", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  const peer = await joined(rig);
  await reportReady(peer);
  peer.send({ type: "state", generation: 1, replicas: [] });
  await settle();
  assert.equal(routedReplicas(rig).length, 1);
  rig.close();
});

Deno.test("a newer connection of the same agent takes over, and the old one's end changes nothing", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  const before = await joined(rig);
  await reportReady(before);
  const lost = invoke(rig);
  await settle();
  assert.equal(before.frames.length, 1);

  const after = await joined(rig);
  assert.equal(before.close!.code, 1008);
  assert.match(JSON.stringify(before.messages.at(-1)), /bye.*conflict.*taken its place/);
  assert.equal(JSON.parse(lost.of(Op.error)[0].meta).code, "agent_lost");
  assert.equal(rig.core.agents.get("pi-1")!.health, "ready");
  assert.equal(after.of("desired").length, 1);
  await reportReady(after);
  invoke(rig);
  await settle();
  assert.equal(after.frames.length, 1);
  rig.close();
});

Deno.test("what is idempotent runs again on the connection that took over", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  const before = await joined(rig);
  await reportReady(before);
  const sink = invoke(rig, { idempotent: true });
  const after = await joined(rig);
  await reportReady(after);
  assert.equal(after.frames[0].b & 0xff, 2, "its second attempt");
  assert.deepEqual(sink.frames, []);
  rig.close();
});

Deno.test("nothing is sent to an agent between its hello and its welcome", async () => {
  const rig = await openRig();
  rig.deploy("images", "export function resize() {}");
  const before = await joined(rig);
  await reportReady(before);
  const { fingerprint } = rig.identity;
  await rig.accounts.createToken({ role: "agent", once: false, addresses: ["a:1"], fingerprint });
  const [{ name }] = rig.store.users.list("token");
  // The same machine joins with a token while its older connection is still open: the exchange takes a while.
  const after = rig.enter({ ...agentPrincipal, name });
  after.send(
    agentHello({
      enroll: true,
      replicas: [reportOf({ handle: before.of("desired")[0].replicas[0].handle })],
    }),
  );
  await settle();
  invoke(rig);
  rig.deploy("sums", "export function add() {}");
  await eventually("it is told what to run", () => after.of("desired").length > 0);
  assert.deepEqual(after.messages.slice(0, 2).map((message) => message.type), ["welcome", "desired"]);
  assert.equal(after.close, null);
  rig.close();
});

Deno.test("telemetry is answered, and its absence makes an agent suspect and then lost", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  peer.send(telemetryOf(1), { type: "ping", sequence: 9 });
  await settle();
  assert.deepEqual(peer.of("pong").map(({ sequence }) => sequence), [1, 9]);
  const advance = (ms: number) => {
    for (let elapsedMs = 0; elapsedMs < ms; elapsedMs += 250) rig.clock.advance(250);
  };
  advance(limits.suspectAfterMs);
  assert.equal(rig.core.agents.get("pi-1")!.health, "suspect");
  advance(limits.lostAfterMs - limits.suspectAfterMs);
  await settle();
  assert.equal(rig.core.agents.get("pi-1")!.health, "lost");
  assert.equal(peer.close!.code, 1006);
  assert.equal(rig.store.events.list({ kinds: ["agent_lost"] }).length, 1);
  rig.close();
});

Deno.test("an agent whose bytes still come in is not lost, however large its message", async () => {
  const rig = await openRig();
  await joined(rig);
  const connection = rig.core.agents.get("pi-1")!.connection as { receivedBytes: number };
  let receivedBytes = connection.receivedBytes;
  Object.defineProperty(connection, "receivedBytes", { get: () => receivedBytes });
  for (let elapsedMs = 0; elapsedMs < 10_000; elapsedMs += 250) {
    receivedBytes += 1000;
    rig.clock.advance(250);
  }
  assert.equal(rig.core.agents.get("pi-1")!.health, "suspect");
  rig.close();
});

Deno.test("modules are handed out by their SHA-256, and what is unknown is refused in words", async () => {
  const rig = await openRig();
  const { sha256 } = rig.deploy("images", "export function resize() {}");
  const peer = await joined(rig);
  peer.sendFrame({ op: Op.fetch, id: 1, name: sha256 });
  peer.sendFrame({ op: Op.fetch, id: 2, name: "0".repeat(64) });
  await settle();
  const [reply, error] = peer.frames;
  assert.equal(new TextDecoder().decode(reply.body), "export function resize() {}");
  assert.equal(JSON.parse(error.meta).code, "not_found");
  rig.close();
});

Deno.test("an operation that is not an agent's ends its connection", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  peer.sendFrame({ op: Op.call, id: 1, name: "GET /v1/users" });
  await settle();
  assert.equal(peer.of("bye")[0].code, "invalid_request");
  assert.equal(rig.core.agents.get("pi-1")!.health, "lost");
  rig.close();
});

Deno.test("a cordoned agent stays cordoned when it returns, and what it says of itself can't forge a log line", async () => {
  const rig = await openRig();
  const peer = await joined(rig, { version: "1\n2023-01-01 error forged" });
  assert.equal(rig.logged.filter((line) => line.includes("forged")).length, 1);
  assert.ok(rig.logged.every((line) => !line.includes("\n")));
  rig.core.agents.setFlags("pi-1", { cordoned: true, draining: false });
  rig.store.agents.setFlags("pi-1", { cordoned: true, draining: false });
  peer.channel.close();
  await settle();
  await joined(rig);
  assert.equal(rig.core.agents.get("pi-1")!.cordoned, true);
  rig.close();
});

Deno.test("a store that takes nothing more keeps no agent out", async () => {
  const rig = await openRig();
  const full = () => {
    throw new Error("database or disk is full");
  };
  Object.assign(rig.store.agents, { observeJoin: full, observeSeen: full });
  Object.assign(rig.store.deployments, { saveRollout: full });
  rig.deploy("images", "export function resize() {}");
  const peer = await joined(rig);
  await reportReady(peer);
  assert.equal(routedReplicas(rig).length, 1);
  assert.equal(rig.store.events.list({ kinds: ["rollout_unsaved"] }).length, 1);
  peer.channel.close();
  await settle();
  assert.equal(rig.core.agents.get("pi-1")!.health, "lost");
  rig.close();
});

Deno.test("a manager that stops blames no agent for it", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  rig.clock.advance(100);
  rig.front.close();
  assert.equal(rig.store.agents.find("pi-1")!.lastSeenMs, rig.clock.nowMs());
  peer.channel.abandon("the listener closed");
  await settle();
  assert.deepEqual(rig.store.events.list({ kinds: ["agent_lost"] }), []);
  rig.close();
});

Deno.test("what an agent brings back after its grace takes nobody's place before it is routed", async () => {
  const rig = await openRig();
  // Whoever has no account is sent away after a while.
  await rig.signUp(agentPrincipal.name, "viewer");
  rig.deploy("images", "export function resize() {}");
  const first = await joined(rig);
  await reportReady(first);
  const { handle } = first.of("desired")[0].replicas[0];
  const second = await joined(rig, { name: "pi-2", identity: "pi-2------------" });
  first.channel.abandon("the line broke");
  await settle();
  const live = async () => {
    for (let steps = 0; steps * limits.livenessTickMs <= limits.lostGraceMs; steps++) {
      rig.clock.advance(limits.livenessTickMs);
      second.send(telemetryOf(steps + 1));
      await settle();
    }
  };
  await live();
  await reportReady(second);
  await live();
  assert.deepEqual(routedReplicas(rig).map(({ agent }) => agent), ["pi-2"]);
  // By its name it would be preferred.
  const back = await joined(rig, { replicas: [reportOf({ handle })] });
  assert.deepEqual(back.of("desired").map(({ replicas }) => replicas), [[]]);
  assert.deepEqual(routedReplicas(rig).map(({ agent }) => agent), ["pi-2"]);
  rig.close();
});

Deno.test("a manager that stops lets nobody in, and they may dial again at once", async () => {
  const rig = await openRig();
  rig.front.close();
  const ada: Principal = { name: "ada", role: "operator", endpoints: [] };
  for (const [principal, hello] of [[agentPrincipal, agentHello()], [ada, clientHello()]] as const) {
    const peer = rig.enter(principal);
    peer.send(hello);
    await eventually("the peer is sent away", () => peer.close !== null);
    assert.equal(peer.of("welcome").length, 0);
    assert.deepEqual(peer.of("bye").map(({ code }) => code), ["manager_lost"]);
  }
  assert.equal(rig.core.agents.list().length, 0);
  rig.core.close();
  rig.store.close();
});

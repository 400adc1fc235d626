/** A client's connection: API calls, streams of them, and its end when the user is no longer welcome. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, type Frame, Op } from "../../lib/protocol/frame.ts";
import type { Principal } from "../../lib/security/access.ts";
import {
  agentPrincipal,
  clientHello,
  joined as joinedAgent,
  type ManagerRig,
  openRig,
  type Peer,
  reportReady,
  settle,
  telemetryOf,
} from "./rig.ts";

const operator: Principal = { name: "ada", role: "operator", endpoints: [] };

async function joined(rig: ManagerRig, principal: Principal = operator): Promise<Peer> {
  if (!rig.store.users.find(principal.name)) {
    rig.store.users.add({ name: principal.name, role: principal.role, passwordHash: "scrypt$none" }, 0);
  }
  const peer = rig.enter(principal);
  peer.send(clientHello());
  await settle();
  assert.equal(peer.of("welcome").length, 1);
  return peer;
}

function call(peer: Peer, id: number, name: string, body?: unknown): void {
  const bytes = body === undefined ? undefined : new TextEncoder().encode(JSON.stringify(body));
  peer.sendFrame({ op: Op.call, id, name, body: bytes });
}

const text = (frame: Frame) => new TextDecoder().decode(frame.body);

Deno.test("a call is answered by the same routes as HTTP, with the user's own rights", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  call(peer, 1, "GET /v1/agents");
  call(peer, 2, "GET /v1/users");
  call(peer, 3, "PUT /v1/replicasets/none/replicas", { replicas: 2 });
  await settle();
  const byId = new Map(peer.frames.map((frame) => [frame.id, frame]));
  assert.equal(byId.get(1)!.b, 200);
  assert.deepEqual(JSON.parse(text(byId.get(1)!)), { agents: [] });
  assert.equal(byId.get(2)!.b, 403);
  assert.equal(byId.get(3)!.b, 404);
  assert.match(JSON.parse(text(byId.get(3)!)).error.message, /no replicaSet none/);
  rig.close();
});

Deno.test("what can't be an HTTP request is refused in words and keeps the connection", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  const meta = "not JSON";
  const names = ["GET /metrics", "", "FOO\u0001 /v1/agents", "CONNECT /v1/agents", "GET /v1/agents"];
  for (const [id, name] of names.entries()) {
    peer.sendFrame({ op: Op.call, id, name, meta: id === 4 ? meta : "" });
  }
  peer.sendFrame({ op: Op.call, id: 9, name: "GET /v1/agents", body: new Uint8Array([1]) });
  await settle();
  assert.deepEqual(peer.frames.map((frame) => [frame.id, frame.op, JSON.parse(frame.meta).code]), [
    ...names.map((_, id) => [id, Op.error, "invalid_request"]),
    [9, Op.error, "invalid_request"],
  ]);
  assert.equal(peer.close, null);
  rig.close();
});

Deno.test("one connection has at most 64 calls under way, each with its own id", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  for (let id = 0; id < 64; id++) call(peer, id, "GET /v1/live");
  call(peer, 64, "GET /v1/agents");
  await settle();
  const [refused] = peer.frames.filter((frame) => frame.op === Op.error);
  assert.deepEqual([refused.id, JSON.parse(refused.meta).code], [64, "queue_full"]);
  peer.channel.close();
  await settle();
  rig.close();
});

Deno.test("the live view comes by parts until it is cancelled or the connection ends", async () => {
  const rig = await openRig();
  const timers = rig.clock.pendingTimers;
  const peer = await joined(rig);
  call(peer, 1, "GET /v1/live");
  call(peer, 2, "GET /v1/live");
  await settle();
  assert.equal(rig.clock.pendingTimers, timers + 1, "one clock for all who watch");
  rig.clock.advance(1000);
  await settle();
  const parts = peer.frames.filter((frame) => frame.op === Op.part);
  assert.equal(parts.length, 4);
  assert.equal(JSON.parse(text(parts[0]).split("data: ")[1]).cluster.cluster, "attic");
  peer.sendFrame({ op: Op.cancel, id: 1 });
  await settle();
  assert.equal(rig.clock.pendingTimers, timers + 1);
  peer.channel.abandon("gone");
  await settle();
  assert.equal(rig.clock.pendingTimers, timers, "nobody watches any more");
  rig.close();
});

Deno.test("a client that goes while its call is being answered leaves no live view behind", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  const timers = rig.clock.pendingTimers;
  call(peer, 1, "GET /v1/live");
  peer.channel.close();
  await settle();
  assert.equal(rig.clock.pendingTimers, timers);
  rig.close();
});

Deno.test("clients are counted while they are connected", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  const clients = async () => {
    call(peer, 7, "GET /v1/overview");
    await settle();
    return JSON.parse(text(peer.frames.at(-1)!)).cluster.clients;
  };
  const second = await joined(rig);
  assert.equal(await clients(), 2);
  second.channel.close();
  await settle();
  assert.equal(await clients(), 1);
  rig.close();
});

Deno.test("a removed user's connections end at once, also when another program removed it soon after", async () => {
  const rig = await openRig();
  const admin: Principal = { name: "root", role: "admin", endpoints: [] };
  const root = await joined(rig, admin);
  const ada = await joined(rig);
  const bob = await joined(rig, { ...operator, name: "bob" });
  call(root, 1, "DELETE /v1/users/ada");
  await settle();
  assert.equal(ada.of("bye")[0].code, "unauthenticated");
  assert.match(ada.of("bye")[0].message, /^User ada was removed/);
  assert.equal(bob.close, null);
  // `manager user passwd` beside the running manager.
  rig.store.users.setPassword("bob", "scrypt$other");
  rig.clock.advance(5000);
  await settle();
  assert.equal(bob.of("bye").length, 1);
  assert.equal(root.close, null);
  rig.close();
});

Deno.test("a client may say ping and goodbye, and nothing that is an agent's", async () => {
  const rig = await openRig();
  const peer = await joined(rig);
  peer.send({ type: "ping", sequence: 3 }, { type: "bye", code: "leaving", message: "done" });
  await settle();
  assert.deepEqual(peer.of("pong"), [{ type: "pong", sequence: 3 }]);
  peer.send({ type: "state", generation: 1, replicas: [] });
  await settle();
  assert.match(peer.of("bye")[0].message, /may not send state/);
  rig.close();
});

Deno.test("a client that vanished without a word is given up as any that goes; one that pings or sends a large body is not", async () => {
  const rig = await openRig();
  // Whoever has no account is sent away after a while.
  await rig.signUp(agentPrincipal.name, "viewer");
  rig.deploy("images", "export function resize() {}");
  const agent = await joinedAgent(rig);
  await reportReady(agent);
  const [vanished, pings, uploads] = [await joined(rig), await joined(rig), await joined(rig)];
  const large = encodeFrame({ op: Op.request, id: 9, name: "images/resize", body: new Uint8Array(1 << 20) });
  let sentBytes = 0;
  const live = async (ms: number) => {
    for (let second = 1; second <= ms / 1000; second++) {
      agent.send(telemetryOf(second));
      if (second % 5 === 0) pings.send({ type: "ping", sequence: second });
      // A slow line: no message is whole, and nothing else comes.
      if (second % 10 === 0) {
        const body = large.subarray(sentBytes, sentBytes + 1000);
        uploads.sendFrame({ op: Op.chunk, id: 1, a: sentBytes, b: large.length, body });
        sentBytes += body.length;
      }
      rig.clock.advance(1000);
      await settle();
    }
  };
  vanished.sendFrame({ op: Op.request, id: 7, name: "images/resize", a: 600_000 });
  call(vanished, 8, "GET /v1/live");
  await settle();
  assert.equal(agent.frames.filter(({ op }) => op === Op.request).length, 1);
  await live(limits.clientSilentMsMax - limits.clientPingMs);
  assert.equal(vanished.close, null);
  await live(2 * limits.clientPingMs);
  assert.notEqual(vanished.close, null);
  assert.equal(agent.frames.filter(({ op }) => op === Op.cancel).length, 1, "its request is cancelled");
  assert.ok(rig.logged.some((line) => line.includes("a silent client is given up")));
  await live(4 * limits.clientSilentMsMax);
  assert.deepEqual([pings.close, uploads.close], [null, null]);
  call(pings, 1, "GET /v1/overview");
  await settle();
  assert.equal(JSON.parse(text(pings.frames.at(-1)!)).cluster.clients, 2);
  rig.close();
});

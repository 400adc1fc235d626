import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import type { MessageToManager } from "../../lib/protocol/messages.ts";
import { Op } from "../../lib/protocol/frame.ts";
import type { Principal } from "../../lib/security/access.ts";
import { parseToken } from "../../lib/security/token.ts";
import { eventually } from "../support/eventually.ts";
import {
  agentHello,
  agentPrincipal,
  clientHello,
  type ManagerRig,
  openRig,
  type Peer,
  settle,
} from "./rig.ts";

const ada: Principal = { name: "ada", role: "operator", endpoints: [] };

async function refused(peer: Peer, code: string, says: RegExp): Promise<void> {
  await eventually("the peer is refused", () => peer.close !== null);
  const [bye] = peer.of("bye");
  assert.equal(bye.code, code, bye.message);
  assert.match(bye.message, says);
  assert.equal(peer.close!.code, 1008);
  assert.equal(peer.of("welcome").length, 0);
}

/** A join with a fresh token: the principal it signs in as. */
async function tokenPrincipal(rig: ManagerRig, role: "agent" | "client", once: boolean): Promise<Principal> {
  const token = parseToken(
    await rig.accounts.createToken({ role, once, addresses: ["a:1"], fingerprint: rig.identity.fingerprint }),
  );
  return await rig.signIn.authenticate({ user: token.user, password: token.password, address: "10.0.0.1" });
}

Deno.test("a join that may not be is refused in words, and leaves nothing behind", async (t) => {
  const rig = await openRig();
  const timers = rig.clock.pendingTimers;
  const cases: [string, Principal, MessageToManager[], string, RegExp][] = [
    [
      "another protocol",
      ada,
      [{ ...clientHello(), protocol: 2 } as MessageToManager],
      "version_mismatch",
      /speaks 2/,
    ],
    ["a person as an agent", ada, [agentHello()], "forbidden", /may not join agent/],
    ["an agent as a client", agentPrincipal, [clientHello()], "forbidden", /may not join client/],
    ["a ping first", ada, [{ type: "ping", sequence: 1 }], "invalid_request", /first message must be hello/],
    [
      "a token for one use that isn't exchanged",
      { ...agentPrincipal, once: true },
      [agentHello()],
      "forbidden",
      /must be enrolled/,
    ],
    ["a person's password exchanged", ada, [clientHello(true)], "invalid_request", /no token/],
  ];
  for (const [name, principal, messages, code, says] of cases) {
    await t.step(name, async () => {
      const peer = rig.enter(principal);
      peer.send(...messages);
      await refused(peer, code, says);
    });
  }
  await t.step("text that is no message", async () => {
    const peer = rig.enter(ada);
    peer.channel.sendControl("{");
    await refused(peer, "invalid_request", /must be JSON/);
  });
  await t.step("a message over the limit", async () => {
    const peer = rig.enter(ada);
    peer.channel.sendControl(JSON.stringify({ type: "x".repeat(limits.controlBytesMax) }));
    await refused(peer, "too_large", /at most 4194304 bytes/);
  });
  await t.step("a problem that quotes megabytes is cut", async () => {
    const peer = rig.enter(agentPrincipal);
    peer.send(agentHello({ name: "x".repeat(1_000_000) }));
    await refused(peer, "invalid_request", /^.{0,600}$/s);
  });
  await t.step("frames before hello", async () => {
    const peer = rig.enter(ada);
    peer.sendFrame({ op: Op.call, id: 1, name: "GET /v1/agents" });
    await refused(peer, "invalid_request", /got frames/);
  });
  await t.step("silence", async () => {
    const peer = rig.enter(ada);
    rig.clock.advance(limits.handshakeMsMax - 1);
    await settle();
    assert.equal(peer.close, null);
    rig.clock.advance(1);
    await refused(peer, "invalid_request", /say hello within 10000 ms/);
  });
  assert.equal(rig.clock.pendingTimers, timers);
  assert.deepEqual(rig.core.agents.list(), []);
  assert.equal((await rig.http("GET", "/healthz")).status, 200);
  rig.close();
});

Deno.test("hello is said once", async () => {
  const rig = await openRig();
  const peer = rig.enter(ada);
  peer.send(clientHello());
  await settle();
  assert.equal(peer.of("welcome").length, 1);
  peer.send(clientHello());
  await settle();
  assert.equal(peer.of("bye")[0].code, "invalid_request");
  assert.notEqual(peer.close, null);
  rig.close();
});

Deno.test("a token is exchanged for credentials of the machine's own, which work from then on", async () => {
  const rig = await openRig();
  const peer = rig.enter(await tokenPrincipal(rig, "agent", true));
  peer.send(agentHello({ enroll: true }));
  const welcome = await eventually("the welcome", () => peer.of("welcome")[0]);
  assert.deepEqual(welcome.addresses, ["attic.local:7443"]);
  const principal = await rig.signIn.authenticate({ ...welcome.credentials!, address: "10.0.0.1" });
  assert.equal(principal.role, "agent");
  assert.match(principal.name, /^pi-1-[0-9a-f]{8}$/);
  peer.channel.close();
  await settle();
  rig.close();
});

Deno.test("a token for one use lets one of two in", async () => {
  const rig = await openRig();
  const principal = await tokenPrincipal(rig, "client", true);
  const peers = [rig.enter(principal), rig.enter(principal)];
  for (const peer of peers) peer.send(clientHello(true));
  await eventually("both have an answer", () => peers.every((peer) => peer.messages.length > 0));
  assert.deepEqual(peers.flatMap((peer) => peer.messages.map((message) => message.type)).sort(), [
    "bye",
    "welcome",
  ]);
  assert.equal(rig.store.users.list("machine").length, 1);
  rig.close();
});

Deno.test("a name that is taken doesn't use the token up", async () => {
  const rig = await openRig();
  rig.enter(agentPrincipal).send(agentHello());
  const principal = await tokenPrincipal(rig, "agent", true);
  const second = rig.enter(principal);
  second.send(agentHello({ identity: "another-identity", enroll: true }));
  await refused(second, "conflict", /named pi-1 is already connected/);
  assert.equal(rig.store.users.find(principal.name)!.usedAtMs, undefined);
  rig.close();
});

Deno.test("whoever goes before the welcome uses no token up and counts for nothing", async () => {
  const rig = await openRig();
  const principal = await tokenPrincipal(rig, "agent", true);
  const peer = rig.enter(principal);
  peer.send(agentHello({ enroll: true }));
  // Its hello still arrives; the exchange has then only begun.
  peer.channel.abandon("power cut");
  await eventually("the join has ended", () => rig.logged.some((line) => line.includes("went away before")));
  assert.equal(rig.store.users.find(principal.name)!.usedAtMs, undefined);
  assert.deepEqual(rig.store.users.list("machine"), []);
  assert.equal(rig.core.agents.get("pi-1")!.health, "lost");
  // The next connection of the same machine finds nothing of the first.
  const again = rig.enter(principal);
  again.send(agentHello({ enroll: true }));
  await eventually("the second is welcomed and told what to run", () => again.of("desired").length === 1);
  assert.equal(again.messages[0].type, "welcome");
  rig.close();
});

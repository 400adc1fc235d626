import assert from "node:assert/strict";
import type { AgentIdentity } from "../../lib/agent/identity.ts";
import { keepMembership } from "../../lib/agent/membership.ts";
import { openSession } from "../../lib/agent/session.ts";
import { UpstreamCalls } from "../../lib/agent/upstream.ts";
import { type ErrorCode, SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { silentLog } from "../../lib/log.ts";
import type { Channel } from "../../lib/protocol/channel.ts";
import type { Welcome } from "../../lib/protocol/messages.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { agentHello, settle, telemetryOf } from "../manager/rig.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { ManagerEnd, NotingHosting, welcome } from "./rig.ts";

const tokenIdentity: AgentIdentity = {
  name: "pi-1",
  identity: "0123456789abcdef",
  addresses: ["10.0.0.1:7443"],
  caPem: "pem",
  user: "join-agent-1",
  password: "token's",
  enroll: true,
};
const ownIdentity: AgentIdentity = { ...tokenIdentity, user: "pi-1-own", password: "own", enroll: false };
const { type: _type, sequence: _sequence, ...telemetry } = telemetryOf(0);
const credentials = { user: "pi-1-own", password: "own" };

interface Dial {
  authorization: string;
  answer: PromiseWithResolvers<Channel>;
}

function sessionOn(clock: ManualClock, channel: Channel, enroll: boolean, onWelcome: (one: Welcome) => void) {
  return openSession({
    clock,
    channel,
    hello: agentHello({ enroll }),
    hosting: new NotingHosting(),
    calls: new UpstreamCalls(),
    telemetry: () => telemetry,
    takeLogs: () => [],
    onWelcome,
  });
}

/** A membership whose every dial is the test's to answer. */
function start(identity: AgentIdentity) {
  const clock = new ManualClock();
  const dials: Dial[] = [];
  const stored: AgentIdentity[] = [];
  const warnings: string[] = [];
  const membership = keepMembership({
    identity,
    clock,
    random: createSeededRandom(1),
    log: { ...silentLog, warn: (_message, fields) => void warnings.push(String(fields?.reason)) },
    store: (one) => Promise.resolve(void stored.push(one)),
    openSession: (channel, enroll, onWelcome) => sessionOn(clock, channel, enroll, onWelcome),
    network: {
      fetchAuthority: () => assert.fail("the authority is known"),
      dialWebSocket({ headers }) {
        dials.push({ authorization: headers.authorization, answer: Promise.withResolvers<Channel>() });
        return dials.at(-1)!.answer.promise;
      },
    },
  });
  /** Answers the newest dial with a connection. */
  const accept = async (): Promise<ManagerEnd> => {
    const { left, right } = createMemoryChannelPair();
    dials.at(-1)!.answer.resolve(left);
    await settle();
    return new ManagerEnd(right);
  };
  const refuse = async (code: ErrorCode, details = {}): Promise<void> => {
    dials.at(-1)!.answer.reject(new SqwishError(code, "refused", { details }));
    await settle();
  };
  return { clock, dials, stored, membership, accept, refuse, warnings };
}

async function isRefused(membership: ReturnType<typeof keepMembership>): Promise<boolean> {
  let refused = false;
  void membership.refused.then(() => refused = true);
  await settle();
  return refused;
}

Deno.test("the first join's credentials are stored, and used from then on", async () => {
  const { clock, dials, stored, membership, accept } = start(tokenIdentity);
  const manager = await accept();
  await settle();
  assert.ok(manager.messages.some((message) => message.type === "hello" && message.enroll));
  manager.send({ ...welcome, credentials });
  await settle();
  assert.equal(stored.length, 1);
  const addresses = ["10.0.0.1:7443", "10.0.0.2:7443"];
  assert.deepEqual(stored[0], { ...ownIdentity, addresses });

  manager.channel.abandon("power cut");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await settle();
  const again = await accept();
  await settle();
  assert.equal(atob(dials[1].authorization.split(" ")[1]), "pi-1-own:own");
  assert.ok(again.messages.some((message) => message.type === "hello" && !message.enroll));
  again.send(welcome);
  await settle();
  assert.equal(stored.length, 1, "nothing new is nothing to write");
  await membership.leave("done");
});

Deno.test("the first join with a token fails for good when a person must do something", async () => {
  for (const code of ["unauthenticated", "forbidden", "version_mismatch", "conflict"] as const) {
    const { membership, refuse, clock } = start(tokenIdentity);
    await refuse(code);
    assert.ok(await isRefused(membership), code);
    assert.equal(clock.pendingTimers, 0);
    await membership.leave("refused");
  }
});

Deno.test("what passes by itself is tried again, and after a welcome everything is", async () => {
  const cases: [AgentIdentity, ErrorCode, Record<string, unknown>][] = [
    [tokenIdentity, "manager_lost", {}],
    [tokenIdentity, "queue_full", {}],
    [tokenIdentity, "unauthenticated", { retryAfterMs: 60_000 }],
    [ownIdentity, "unauthenticated", {}],
    [ownIdentity, "forbidden", {}],
    [ownIdentity, "version_mismatch", {}],
    [ownIdentity, "conflict", {}],
  ];
  for (const [identity, code, details] of cases) {
    const { membership, refuse, clock, dials } = start(identity);
    await refuse(code, details);
    assert.equal(await isRefused(membership), false, code);
    clock.advance(limits.reconnectMsMax);
    await settle();
    assert.equal(dials.length, 2, code);
    await refuse(code, details);
    await membership.leave("done");
  }
});

Deno.test("it waits longer after each failure, up to the bound, and starts over after a steady session", async () => {
  const { membership, refuse, accept, clock, dials } = start(ownIdentity);
  const pauses: number[] = [];
  for (let failure = 1; failure <= 12; failure++) {
    await refuse("manager_lost");
    const fromMs = clock.monotonicMs();
    while (dials.length === failure) {
      clock.advance(10);
      await settle();
    }
    pauses.push(clock.monotonicMs() - fromMs);
  }
  assert.ok(pauses[0] <= limits.reconnectMsMin + 10);
  assert.ok(pauses.every((pauseMs) => pauseMs <= limits.reconnectMsMax + 10));
  assert.ok(pauses.at(-1)! >= limits.reconnectMsMax / 2);
  const manager = await accept();
  await settle();
  clock.jumpWall(3600_000);
  // A session counts by monotonic time; it is steady once it has lasted ten seconds.
  for (let second = 0; second < 11; second++) {
    manager.send({ type: "pong", sequence: second });
    await settle();
    clock.advance(1000);
  }
  manager.channel.abandon("restart");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(dials.length, 14);
  await refuse("manager_lost");
  await membership.leave("done");
});

Deno.test("a manager that lets it in is soon dialled again, however often it was away and however shortly it was there", async () => {
  const { membership, refuse, accept, clock, dials } = start(ownIdentity);
  const redial = async (withinMs: number) => {
    const before = dials.length;
    clock.advance(withinMs);
    await settle();
    assert.equal(dials.length, before + 1);
  };
  for (let failure = 1; failure <= 8; failure++) {
    await refuse("manager_lost");
    await redial(limits.reconnectMsMax);
  }
  for (let kill = 1; kill <= 20; kill++) {
    const manager = await accept();
    await settle();
    manager.send(welcome);
    await settle();
    manager.channel.abandon("killed");
    await settle();
    await redial(limits.reconnectMsMin);
  }
  await accept();
  await membership.leave("done");
});

Deno.test("two copies of one agent drive each other out ever more slowly", async () => {
  const { membership, accept, clock, dials } = start(ownIdentity);
  for (let turn = 1; turn <= 10; turn++) {
    const manager = await accept();
    await settle();
    manager.send(welcome);
    manager.send({ type: "bye", code: "conflict", message: "replaced by a newer connection", details: {} });
    manager.channel.close(1008, "replaced");
    await settle();
    const fromMs = clock.monotonicMs();
    while (dials.length === turn) {
      clock.advance(10);
      await settle();
    }
    if (turn === 10) assert.ok(clock.monotonicMs() - fromMs >= limits.reconnectMsMax / 2);
  }
  await accept();
  await membership.leave("done");
});

Deno.test("leaving says goodbye first, and keeps the connection for what is still to be answered", async () => {
  const { membership, accept } = start(ownIdentity);
  const manager = await accept();
  await settle();
  manager.send(welcome);
  await settle();
  const finished = Promise.withResolvers<void>();
  const left = membership.leave("done", () => finished.promise);
  await settle();
  assert.equal(manager.messages.at(-1)!.type, "bye");
  assert.equal(manager.close, null);
  finished.resolve();
  await left;
  assert.equal(manager.close!.code, 1001);
});

Deno.test("leaving ends the wait for the next dial, and does not wait for one that hangs", async () => {
  const waiting = start(ownIdentity);
  await waiting.refuse("manager_lost");
  await waiting.membership.leave("done");
  assert.equal(waiting.clock.pendingTimers, 0);

  const hanging = start(ownIdentity);
  const left = hanging.membership.leave("done");
  hanging.clock.advance(2000);
  await left;
  // The connection that comes after all is not kept.
  const manager = await hanging.accept();
  await settle();
  assert.equal(manager.close!.code, 1006);
  assert.equal(hanging.membership.session, null);
  assert.deepEqual(manager.messages, []);
});

Deno.test("an agent that the cluster no longer knows keeps trying, and says what to do about it", async () => {
  const { membership, refuse, clock, dials, warnings } = start(ownIdentity);
  await refuse("unauthenticated");
  clock.advance(limits.reconnectMsMax);
  await settle();
  await refuse("unauthenticated", { retryAfterMs: 1000 });
  assert.equal(dials.length, 2);
  assert.match(
    warnings[0],
    /^refused; this agent's account is gone .*; stop it and start it with --join TOKEN/,
  );
  assert.equal(warnings[1], "refused", "a lock of its address passes by itself");
  const left = membership.leave("done");
  clock.advance(limits.reconnectMsMax);
  await left;
});

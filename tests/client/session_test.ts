import assert from "node:assert/strict";
import { Sqwish } from "../../lib/client/sqwish.ts";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { encodeMessage } from "../../lib/protocol/messages.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { connected, echo, rejectsWith } from "./connected.ts";
import { ScriptedManager, settle, welcome } from "./scripted_manager.ts";

Deno.test("after a lost connection idempotent requests are sent again with what is left, others get `manager_lost`", async () => {
  const { sqwish, clock, manager } = await connected();
  const again = sqwish.invoke("a/b", "again", { idempotent: true, timeoutMs: 5000 });
  const once = rejectsWith(sqwish.invoke("a/b", "once", { timeoutMs: 5000 }), "manager_lost", "maybe");
  await settle();
  clock.advance(1000);
  manager.last.channel.abandon("power cut");
  await once;
  assert.equal(sqwish.connected, false);
  const meanwhile = sqwish.invoke("a/b", "meanwhile", { timeoutMs: 5000 });
  manager.script.onFrame = echo;
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(manager.connections.length, 2);
  assert.equal(await again, "again");
  assert.equal(await meanwhile, "meanwhile");
  const sent = manager.last.ofOp(Op.request);
  assert.ok(sent[0].a > 3500 && sent[0].a <= 4000, `remaining ${sent[0].a}`);
  assert.equal(sqwish.connected, true);
  await sqwish.close();
});

Deno.test("what was sent on an earlier connection may have run there, whatever the next manager says of it", async () => {
  const { sqwish, clock, manager } = await connected();
  const again = rejectsWith(
    sqwish.invoke("a/b", "again", { idempotent: true, timeoutMs: 5000 }),
    "not_found",
    "maybe",
  );
  await settle();
  manager.last.channel.abandon("power cut");
  await settle();
  const first = rejectsWith(sqwish.invoke("a/b", "first", { timeoutMs: 5000 }), "not_found", "no");
  manager.script.onFrame = (frame, connection) =>
    connection.error(frame.id, new SqwishError("not_found", "nothing here"));
  await settle();
  clock.advance(limits.reconnectMsMin);
  await Promise.all([again, first]);
  await sqwish.close();
});

Deno.test("a manager that says it stops is answered like a lost connection, before it closes", async () => {
  const { sqwish, clock, manager } = await connected();
  manager.script.onFrame = (frame, { channel }) => {
    const meta = JSON.stringify({
      code: "manager_lost",
      message: "stopping",
      details: { mayHaveRun: "maybe" },
    });
    channel.sendFrames(encodeFrame({ op: Op.error, id: frame.id, meta }));
  };
  const again = sqwish.invoke("a/b", "again", { idempotent: true, timeoutMs: 5000 });
  await rejectsWith(sqwish.invoke("a/b", "once", { timeoutMs: 5000 }), "manager_lost", "maybe");
  await settle();
  clock.advance(50);
  await settle();
  assert.equal(manager.last.ofOp(Op.request).length, 2, "it is not sent again to who stops");
  manager.script.onFrame = echo;
  manager.last.channel.abandon("stopped");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(await again, "again");
  await sqwish.close();
});

Deno.test("a request that waits for a connection fails at its deadline, saying that it has not run", async () => {
  const { sqwish, clock, manager } = await connected();
  manager.script.refuse = new SqwishError("manager_lost", "can't be reached");
  manager.last.channel.abandon("power cut");
  await settle();
  const bounded = rejectsWith(sqwish.invoke("a/b", 1, { timeoutMs: 700 }), "manager_lost", "no");
  const unbounded = rejectsWith(sqwish.invoke("a/b", 1), "manager_lost", "no");
  clock.advance(800);
  await bounded;
  clock.advance(limits.timeoutMsDefault);
  await unbounded;
  await sqwish.close();
});

Deno.test("it reconnects with a delay that grows to its bound, and goes on for ever", async () => {
  const { sqwish, clock, manager } = await connected({ onFrame: echo });
  manager.script.refuse = new SqwishError("manager_lost", "can't be reached");
  manager.last.channel.abandon("power cut");
  await settle();
  for (let i = 0; i < 100; i++) {
    clock.advance(limits.reconnectMsMax);
    await settle();
  }
  assert.ok(manager.dials >= 100, `dialled ${manager.dials} times in 1000 s`);
  assert.ok(manager.dials <= 250, `dialled ${manager.dials} times in 1000 s`);
  manager.script.refuse = undefined;
  clock.advance(limits.reconnectMsMax);
  await settle();
  assert.equal(await sqwish.invoke("a/b", "back"), "back");
  await sqwish.close();
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("a refusal while reconnecting ends it: everything fails with the manager's words", async () => {
  const { sqwish, clock, manager } = await connected();
  const waiting = rejectsWith(sqwish.invoke("a/b", 1, { idempotent: true }), "unauthenticated");
  await settle();
  manager.script.refuse = new SqwishError("unauthenticated", "User name or password is wrong");
  manager.last.channel.abandon("power cut");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await waiting;
  await rejectsWith(sqwish.invoke("a/b", 1), "unauthenticated");
  clock.advance(60_000);
  assert.equal(manager.dials, 2);
  await sqwish.close();
});

Deno.test("a lock after wrong passwords is waited for, not taken as final", async () => {
  const { sqwish, clock, manager } = await connected({ onFrame: echo });
  manager.script.refuse = new SqwishError("unauthenticated", "Locked", { details: { retryAfterMs: 60_000 } });
  manager.last.channel.abandon("power cut");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await settle();
  manager.script.refuse = undefined;
  clock.advance(59_000);
  await settle();
  assert.equal(manager.dials, 2);
  clock.advance(2000);
  await settle();
  assert.equal(await sqwish.invoke("a/b", 1), 1);
  await sqwish.close();
});

Deno.test("a manager that falls silent is given up and dialled anew", async () => {
  const { sqwish, clock, manager } = await connected({ ignorePings: true });
  const outcome = rejectsWith(sqwish.invoke("a/b", 1), "manager_lost", "maybe");
  for (let i = 0; i < 3; i++) {
    await settle();
    clock.advance(limits.clientPingMs);
  }
  await outcome;
  assert.deepEqual(manager.connections[0].pings, [1, 2]);
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(manager.connections.length, 2);
  await sqwish.close();
});

Deno.test("`open()` tries until its time is over, and gives the last failure", async () => {
  const clock = new ManualClock();
  const manager = new ScriptedManager({ refuse: new SqwishError("manager_lost", "can't be reached") });
  const parts = {
    clock,
    random: createSeededRandom(3),
    version: "0.1.0",
    dial: () => manager.dial(),
    enroll: () => false,
  };
  await rejectsWith(new Sqwish(parts).open(0), "manager_lost");
  assert.equal(manager.dials, 1);
  const outcome = rejectsWith(new Sqwish(parts).open(2000), "manager_lost");
  for (let i = 0; i < 20; i++) {
    await settle();
    clock.advance(200);
  }
  await outcome;
  assert.ok(manager.dials > 3, `dialled ${manager.dials} times`);
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("`open()` rejects with the manager's goodbye, and when no welcome comes", async () => {
  const clock = new ManualClock();
  const manager = new ScriptedManager({ silent: true });
  const parts = {
    clock,
    random: createSeededRandom(3),
    version: "0.1.0",
    dial: () => manager.dial(),
    enroll: () => false,
  };
  const silent = rejectsWith(new Sqwish(parts).open(0), "manager_lost");
  await settle();
  clock.advance(limits.handshakeMsMax);
  await silent;
  const refused = rejectsWith(new Sqwish(parts).open(60_000), "version_mismatch");
  await settle();
  manager.last.channel.sendControl(
    JSON.stringify({ type: "bye", code: "version_mismatch", message: "protocol 2 is spoken here" }),
  );
  await refused;
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("bytes that are no frames end the connection, not the program", async () => {
  const { sqwish, clock, manager } = await connected();
  const outcome = rejectsWith(sqwish.invoke("a/b", 1), "manager_lost", "maybe");
  await settle();
  manager.last.channel.sendFrames(new Uint8Array(40).fill(255));
  await outcome;
  manager.script.onFrame = echo;
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(await sqwish.invoke("a/b", "fine again"), "fine again");
  await sqwish.close();
});

Deno.test("`close()` before the welcome of a reconnect ends that connection, and no welcome opens it any more", async () => {
  const { sqwish, clock, manager } = await connected();
  manager.script.silent = true;
  manager.last.channel.abandon("power cut");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(manager.last.hello?.type, "hello");
  assert.equal(manager.last.closed, undefined);
  await sqwish.close();
  manager.last.channel.sendControl(encodeMessage(welcome));
  await settle();
  assert.notEqual(manager.last.closed, undefined);
  assert.equal(sqwish.connected, false);
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("`close()` stops a dial that is under way, and what it brings all the same is not kept", async () => {
  const { sqwish, clock, manager } = await connected({}, async (manager, signal) => {
    if (manager.dials > 0) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    return await manager.dial();
  });
  manager.last.channel.abandon("power cut");
  await settle();
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(manager.connections.length, 1);
  await sqwish.close();
  await settle();
  assert.equal(manager.connections.length, 2);
  assert.notEqual(manager.last.closed, undefined);
  assert.equal(manager.last.hello, undefined);
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("`close()` while it waits to dial again, or for its first connection, dials no more", async () => {
  const { sqwish, clock, manager } = await connected();
  manager.last.channel.abandon("power cut");
  await settle();
  await sqwish.close();
  assert.equal(clock.pendingTimers, 0);
  assert.equal(manager.dials, 1);

  const refusing = new ScriptedManager({ refuse: new SqwishError("manager_lost", "can't be reached") });
  const first = new Sqwish({
    clock,
    random: createSeededRandom(3),
    version: "0.1.0",
    dial: () => refusing.dial(),
    enroll: () => false,
  });
  const outcome = rejectsWith(first.open(60_000), "manager_lost");
  await settle();
  assert.equal(refusing.dials, 1);
  await first.close();
  await outcome;
  assert.equal(clock.pendingTimers, 0);
  assert.equal(refusing.dials, 1);
});

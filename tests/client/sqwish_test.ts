import assert from "node:assert/strict";
import { Sqwish } from "../../lib/client/sqwish.ts";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { connected, echo, rejectsWith } from "./connected.ts";
import { type ScriptedConnection, ScriptedManager, settle } from "./scripted_manager.ts";

Deno.test("`invoke()` sends JSON and bytes and hands back what was replied", async () => {
  const { sqwish, manager } = await connected({ onFrame: echo });
  assert.deepEqual(await sqwish.invoke("text/count", { words: [1, "zwei", null] }), {
    words: [1, "zwei", null],
  });
  assert.equal(await sqwish.invoke("text/count"), null);
  const bytes = await sqwish.invoke("images/resize", new Uint8Array([0, 255, 7]));
  assert.deepEqual(bytes, new Uint8Array([0, 255, 7]));
  const [first, , third] = manager.last.frames;
  assert.equal(first.name, "text/count");
  assert.equal(first.flags, 0);
  assert.equal(third.flags, Flag.bytes);
  assert.equal(sqwish.cluster, "attic");
  assert.equal(sqwish.pendingRequests, 0);
  await sqwish.close();
  assert.equal(manager.last.closed?.code, 1000);
});

Deno.test("`invoke()` says its deadline, idempotence and headers in the frame", async () => {
  const { sqwish, manager } = await connected({ onFrame: echo });
  await sqwish.invoke("a/b", 1, { timeoutMs: 1500, idempotent: true, headers: { lang: "cy" } });
  const [frame] = manager.last.frames;
  assert.equal(frame.a, 1500);
  assert.equal(frame.flags, Flag.idempotent);
  assert.deepEqual(JSON.parse(frame.meta), { lang: "cy" });
  await sqwish.close();
});

Deno.test("`invokeDetailed()` tells queue, run and network time apart", async () => {
  const clock = new ManualClock();
  const { sqwish } = await (async () => {
    const manager = new ScriptedManager({
      onFrame: (frame, connection) => {
        clock.advance(10);
        echo(frame, connection);
      },
    });
    const sqwish = new Sqwish({
      clock,
      random: createSeededRandom(1),
      version: "0.1.0",
      dial: () => manager.dial(),
      enroll: () => false,
    });
    await sqwish.open(0);
    return { sqwish };
  })();
  const result = await sqwish.invokeDetailed("a/b", 1);
  assert.deepEqual(result, {
    value: 1,
    timing: { queueMs: 0.5, runMs: 2, networkMs: 7.5, totalMs: 10 },
    requestId: "00000001000000ff",
  });
  await sqwish.close();
});

Deno.test("thousands of requests at once each get their own reply, in whatever order", async () => {
  const held: { frame: Frame; connection: ScriptedConnection }[] = [];
  const { sqwish } = await connected({
    onFrame: (frame, connection) => void held.push({ frame, connection }),
  });
  const replies = Array.from({ length: 3000 }, (_, i) => sqwish.invoke("a/b", { i }));
  await settle();
  assert.equal(held.length, 3000);
  for (const { frame, connection } of held.reverse()) echo(frame, connection);
  assert.deepEqual(await Promise.all(replies), Array.from({ length: 3000 }, (_, i) => ({ i })));
  await sqwish.close();
});

Deno.test("an error arrives with its code, message, details and request id", async () => {
  const { sqwish } = await connected({
    onFrame: (frame, connection) =>
      connection.error(
        frame.id,
        new SqwishError("module_failed", "It broke", { details: { stack: "at resize.ts:3:9" } }),
      ),
  });
  const error = await sqwish.invoke("a/b").then(() => assert.fail("must reject"), (thrown) => thrown);
  assert.ok(error instanceof SqwishError);
  assert.equal(error.code, "module_failed");
  assert.equal(error.message, "It broke");
  assert.deepEqual(error.details, { stack: "at resize.ts:3:9", requestId: "00000001000000ff" });
  await sqwish.close();
});

Deno.test("the manager's own answer wins over the local deadline, which comes a grace later", async () => {
  const { sqwish, clock, manager } = await connected();
  const first = sqwish.invoke("a/b", 1, { timeoutMs: 1000 });
  const second = sqwish.invoke("a/b", 2, { timeoutMs: 1000 });
  await settle();
  clock.advance(1010);
  const [one, two] = manager.last.ofOp(Op.request);
  manager.last.error(one.id, new SqwishError("deadline_exceeded", "said by the manager"));
  await assert.rejects(first, /said by the manager/);
  const outcome = rejectsWith(second, "deadline_exceeded", "maybe");
  clock.advance(300);
  await outcome;
  await settle();
  assert.deepEqual(manager.last.ofOp(Op.cancel).map((frame) => frame.id), [two.id]);
  manager.last.reply(two.id, "late");
  await settle();
  assert.equal(sqwish.pendingRequests, 0);
  await sqwish.close();
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("a request without a timeout leaves the deadline to the manager", async () => {
  const { sqwish, clock, manager } = await connected();
  const reply = sqwish.invoke("a/b");
  await settle();
  assert.equal(manager.last.frames[0].a, 0);
  for (let i = 0; i < 60; i++) {
    clock.advance(limits.clientPingMs);
    await settle();
  }
  manager.last.reply(manager.last.frames[0].id, "after five minutes");
  assert.equal(await reply, "after five minutes");
  await sqwish.close();
});

Deno.test("aborting sends a cancel and rejects with `cancelled`", async () => {
  const { sqwish, manager } = await connected();
  const controller = new AbortController();
  const outcome = rejectsWith(sqwish.invoke("a/b", 1, { signal: controller.signal }), "cancelled", "maybe");
  await settle();
  controller.abort();
  await outcome;
  await settle();
  assert.equal(manager.last.ofOp(Op.cancel)[0].id, manager.last.ofOp(Op.request)[0].id);
  await rejectsWith(sqwish.invoke("a/b", 1, { signal: controller.signal }), "cancelled", "no");
  assert.equal(manager.last.ofOp(Op.request).length, 1);
  await sqwish.close();
});

Deno.test("what can't be sent is refused at once and nothing is left pending", async () => {
  const { sqwish, manager } = await connected();
  await rejectsWith(sqwish.invoke("a/b", 1n), "invalid_request", "no");
  await rejectsWith(sqwish.invoke("a/b", () => 1), "invalid_request", "no");
  await rejectsWith(sqwish.invoke("a/b", new Uint8Array(limits.bodyBytesMax + 1)), "too_large", "no");
  await rejectsWith(sqwish.invoke("x".repeat(300), 1), "too_large", "no");
  await rejectsWith(sqwish.invoke("a/b", 1, { timeoutMs: 0 }), "invalid_request", "no");
  await rejectsWith(sqwish.invoke("a/b", 1, { timeoutMs: NaN }), "invalid_request", "no");
  assert.equal(sqwish.pendingRequests, 0);
  await settle();
  assert.equal(manager.last.frames.length, 0);
  await sqwish.close();
});

Deno.test("more than a connection takes at once is refused with `queue_full`", async () => {
  const { sqwish } = await connected();
  const outcomes: Promise<unknown>[] = [];
  for (let i = 0; i < limits.requestsPerConnectionMax; i++) {
    outcomes.push(sqwish.invoke("a/b", 1).catch((thrown) => thrown.code));
  }
  await rejectsWith(sqwish.invoke("a/b", 1), "queue_full", "no");
  await sqwish.close();
  assert.deepEqual(new Set(await Promise.all(outcomes)), new Set(["cancelled"]));
});

Deno.test("large requests wait their turn while the connection's buffer is full", async () => {
  const { sqwish, clock, manager } = await connected({ onFrame: echo });
  const megabytes = Array.from({ length: 40 }, (_, i) => new Uint8Array(1024 * 1024).fill(i));
  // The memory channel's buffer is what its far end has not taken: pausing that end fills it.
  manager.last.channel.pauseReading();
  const replies = megabytes.map((bytes) => sqwish.invoke("a/b", bytes));
  await settle();
  assert.equal(manager.last.frames.length, 0);
  manager.last.channel.resumeReading();
  for (let i = 0; i < 20; i++) {
    clock.advance(5);
    await settle();
  }
  const values = await Promise.all(replies) as Uint8Array[];
  assert.deepEqual(values.map((bytes) => bytes[0]), megabytes.map((_, i) => i));
  await sqwish.close();
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("`call()` runs an API operation and turns its error into a SqwishError", async () => {
  const { sqwish, manager } = await connected({
    onFrame: (frame, connection) => {
      if (frame.name === "GET /v1/agents") connection.reply(frame.id, { agents: [] }, { b: 200 });
      else if (frame.name === "GET /metrics") connection.reply(frame.id, new Uint8Array([35]), { b: 200 });
      else connection.reply(frame.id, new SqwishError("not_found", "No such set").toJSON(), { b: 404 });
    },
  });
  assert.deepEqual(await sqwish.call("GET", "/v1/agents"), { status: 200, json: { agents: [] } });
  assert.deepEqual(await sqwish.call("GET", "/metrics"), { status: 200, bytes: new Uint8Array([35]) });
  await rejectsWith(sqwish.call("DELETE", "/v1/replicasets/images"), "not_found");
  const [first] = manager.last.frames;
  assert.equal(first.op, Op.call);
  assert.deepEqual(JSON.parse(first.meta), { contentType: "application/json" });
  await sqwish.close();
});

Deno.test("`close()` gives up what is pending, closes the channel and may be called twice", async () => {
  const { sqwish, clock, manager } = await connected();
  const outcome = rejectsWith(sqwish.invoke("a/b", 1, { timeoutMs: 1000 }), "cancelled");
  await settle();
  await sqwish.close();
  await sqwish.close();
  await outcome;
  await rejectsWith(sqwish.invoke("a/b", 1), "cancelled");
  assert.equal(manager.last.closed?.code, 1000);
  assert.equal(clock.pendingTimers, 0);
});

import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, Flag, Op } from "../../lib/protocol/frame.ts";
import { connected } from "./connected.ts";
import { settle } from "./scripted_manager.ts";

async function collect(parts: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

Deno.test("`stream()` hands out the parts in order and ends with the reply", async () => {
  const { sqwish, manager } = await connected({
    onFrame(frame, connection) {
      if (frame.op !== Op.request) return;
      for (const part of [3, 2, 1]) connection.part(frame.id, part);
      connection.end(frame.id);
    },
  });
  assert.deepEqual(await collect(sqwish.stream("text/countdown", { from: 3 })), [3, 2, 1]);
  assert.equal(manager.last.frames[0].flags, Flag.stream);
  await sqwish.close();
});

Deno.test("a producer that keeps to its credit is never more than a window ahead, and never starves", async () => {
  const total = 1000;
  let sent = 0;
  let allowed: number = limits.streamWindowParts;
  let taken = 0;
  const { sqwish } = await connected({
    onFrame(frame, connection) {
      if (frame.op === Op.credit) allowed += frame.a;
      while (sent < Math.min(allowed, total)) connection.part(frame.id, sent++);
      if (sent === total) {
        connection.end(frame.id);
        sent++;
      }
    },
  });
  for await (const part of sqwish.stream("a/b")) {
    assert.equal(part, taken++);
    assert.ok(sent - taken <= limits.streamWindowParts, `${sent - taken} parts ahead`);
    if (taken % 100 === 0) await settle();
  }
  assert.equal(taken, total);
  await sqwish.close();
});

Deno.test("large parts count for several: no more bytes are ahead than of small ones at their largest", async () => {
  const body = new Uint8Array(3 * limits.streamPartBytes + 1);
  const total = 50;
  let [sent, taken, credit] = [0, 0, limits.streamWindowParts as number];
  const { sqwish } = await connected({
    onFrame(frame, connection) {
      if (frame.op === Op.credit) credit += frame.a;
      for (; credit > 0 && sent < total; credit -= 4) {
        connection.channel.sendFrames(encodeFrame({ op: Op.part, id: frame.id, flags: Flag.bytes, body }));
        sent++;
      }
      if (sent === total) connection.end(frame.id);
    },
  });
  for await (const part of sqwish.stream("a/b")) {
    assert.equal((part as Uint8Array).length, body.length);
    taken++;
    assert.ok(sent - taken <= limits.streamWindowParts / 4, `${sent - taken} parts ahead`);
    await settle();
  }
  assert.equal(taken, total);
  await sqwish.close();
});

Deno.test("a consumer that takes nothing gives no credit", async () => {
  const { sqwish, manager } = await connected({
    onFrame: (frame, connection) => {
      for (let i = 0; i < limits.streamWindowParts; i++) connection.part(frame.id, i);
    },
  });
  const parts = sqwish.stream("a/b")[Symbol.asyncIterator]();
  await parts.next();
  await settle();
  assert.equal(manager.last.ofOp(Op.credit).length, 0);
  await parts.return?.();
  await sqwish.close();
});

Deno.test("leaving the loop cancels the request", async () => {
  const { sqwish, manager } = await connected({
    onFrame: (frame, connection) => {
      if (frame.op === Op.request) { for (let i = 0; i < 10; i++) connection.part(frame.id, i); }
    },
  });
  for await (const part of sqwish.stream("a/b")) if (part === 4) break;
  await settle();
  assert.equal(manager.last.ofOp(Op.cancel).length, 1);
  assert.equal(sqwish.pendingRequests, 0);
  await sqwish.close();
});

Deno.test("an error ends the stream after the parts that came before it", async () => {
  const { sqwish } = await connected({
    onFrame(frame, connection) {
      connection.part(frame.id, "first");
      connection.error(frame.id, new SqwishError("module_failed", "It broke halfway"));
    },
  });
  const seen: unknown[] = [];
  await assert.rejects(async () => {
    for await (const part of sqwish.stream("a/b")) seen.push(part);
  }, /It broke halfway/);
  assert.deepEqual(seen, ["first"]);
  await sqwish.close();
});

Deno.test("a stream that has begun is not repeated after a lost connection, even when idempotent", async () => {
  const { sqwish, clock, manager } = await connected({
    onFrame: (frame, connection) => connection.part(frame.id, 1),
  });
  const parts = sqwish.stream("a/b", null, { idempotent: true });
  assert.deepEqual(await parts.next(), { done: false, value: 1 });
  manager.last.channel.abandon("power cut");
  await assert.rejects(
    parts.next(),
    (thrown) => thrown instanceof SqwishError && thrown.code === "manager_lost",
  );
  clock.advance(limits.reconnectMsMin);
  await settle();
  assert.equal(manager.last.frames.length, 0);
  await sqwish.close();
});

Deno.test("a stream that has not begun is repeated when idempotent", async () => {
  const { sqwish, clock, manager } = await connected();
  const all = collect(sqwish.stream("a/b", null, { idempotent: true }));
  await settle();
  manager.last.channel.abandon("power cut");
  await settle();
  manager.script.onFrame = (frame, connection) => {
    connection.part(frame.id, "whole");
    connection.end(frame.id);
  };
  clock.advance(limits.reconnectMsMin);
  assert.deepEqual(await all, ["whole"]);
  await sqwish.close();
});

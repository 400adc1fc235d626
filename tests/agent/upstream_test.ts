import assert from "node:assert/strict";
import fc from "fast-check";
import { UpstreamCalls } from "../../lib/agent/upstream.ts";
import type { FrameSink } from "../../lib/hosting/host.ts";
import { decodeFrame, encodeFrame, type Frame, type FrameParts, Op } from "../../lib/protocol/frame.ts";
import { createMemoryChannelPair } from "../../lib/protocol/memory_channel.ts";
import { RecordingSink } from "../scheduling/rig.ts";
import { rejectsWith } from "../security/rejects_with.ts";
import { settle } from "../manager/rig.ts";
import { ManagerEnd } from "./rig.ts";

function connected(calls: UpstreamCalls): { manager: ManagerEnd; end(): void } {
  const { left, right } = createMemoryChannelPair();
  const manager = new ManagerEnd(right);
  const answer = (bytes: Uint8Array) => calls.answer(bytes, 0, bytes.length);
  left.start({ onControl() {}, onFrames: answer, onClose: () => calls.detach(left) });
  calls.attach(left);
  return { manager, end: () => left.abandon("gone") };
}

function ask(calls: UpstreamCalls, id: number, sink: FrameSink): void {
  const frame = encodeFrame({ op: Op.request, id, name: "images/resize" });
  calls.request(frame, 0, frame.length, sink);
}

const codeOf = (frame: Frame) => JSON.parse(frame.meta).code;

Deno.test("two askers may use the same id; each gets its own answer under it", async () => {
  const calls = new UpstreamCalls();
  const { manager } = connected(calls);
  const [first, second] = [new RecordingSink(), new RecordingSink()];
  ask(calls, 1, first);
  ask(calls, 1, second);
  await settle();
  const [a, b] = manager.frames.map(({ id }) => id);
  assert.notEqual(a, b);
  manager.sendFrame({ op: Op.reply, id: b, a: 2 });
  await settle();
  manager.sendFrame({ op: Op.reply, id: a, a: 1 });
  await settle();
  assert.deepEqual([first, second].map((sink) => sink.frames.map(({ id, a }) => [id, a])), [[[1, 1]], [[
    1,
    2,
  ]]]);
});

Deno.test("an answer that belongs to an earlier connection reaches nobody", async () => {
  const calls = new UpstreamCalls();
  const before = connected(calls);
  const sink = new RecordingSink();
  ask(calls, 1, sink);
  await settle();
  const [{ id: oldId }] = before.manager.frames;
  before.end();
  await settle();
  assert.deepEqual(sink.frames.map(codeOf), ["manager_lost"]);

  const after = connected(calls);
  ask(calls, 1, sink);
  await settle();
  assert.notEqual(after.manager.frames[0].id, oldId);
  after.manager.sendFrame({ op: Op.reply, id: oldId });
  await settle();
  assert.equal(sink.frames.length, 1);
});

Deno.test("without a manager a request is refused as not run", () => {
  const sink = new RecordingSink();
  ask(new UpstreamCalls(), 4, sink);
  const [frame] = sink.frames;
  assert.equal(frame.id, 4);
  assert.deepEqual(JSON.parse(frame.meta).details, { mayHaveRun: "no" });
});

Deno.test("cancels name the manager's id, and nothing once the answer is there", async () => {
  const calls = new UpstreamCalls();
  const { manager } = connected(calls);
  const sink = new RecordingSink();
  ask(calls, 9, sink);
  calls.cancel(9, new RecordingSink());
  calls.cancel(8, sink);
  calls.cancel(9, sink);
  await settle();
  const [{ id }] = manager.frames;
  assert.deepEqual(manager.frames.slice(1).map((frame) => [frame.op, frame.id, frame.a]), [
    [Op.cancel, id, 0],
  ]);
  manager.sendFrame({ op: Op.part, id });
  manager.sendFrame({ op: Op.error, id, meta: "{}" });
  await settle();
  calls.cancel(9, sink);
  await settle();
  assert.equal(manager.frames.length, 2);
});

Deno.test("an asker that is gone has its requests cancelled, and only its", async () => {
  const calls = new UpstreamCalls();
  const { manager } = connected(calls);
  const [gone, stays] = [new RecordingSink(), new RecordingSink()];
  for (const id of [1, 2]) ask(calls, id, gone);
  ask(calls, 1, stays);
  calls.forget(gone);
  await settle();
  const ids = manager.frames.map((frame) => frame.id);
  assert.deepEqual(manager.frames.slice(3).map((frame) => [frame.op, frame.id]), [[Op.cancel, ids[0]], [
    Op.cancel,
    ids[1],
  ]]);
  for (const id of ids.slice(0, 3)) manager.sendFrame({ op: Op.reply, id });
  await settle();
  assert.deepEqual([gone.frames.length, stays.frames.length], [0, 1]);
});

Deno.test("a download outlives a connection", async () => {
  const calls = new UpstreamCalls();
  const bytes = calls.fetchModule("a".repeat(64));
  const before = connected(calls);
  await settle();
  assert.deepEqual(before.manager.frames.map(({ op, name }) => [op, name]), [[Op.fetch, "a".repeat(64)]]);
  before.end();
  await settle();
  const after = connected(calls);
  await settle();
  after.manager.sendFrame({ op: Op.reply, id: after.manager.frames[0].id, body: new Uint8Array([1, 2]) });
  assert.deepEqual([...await bytes], [1, 2]);
});

Deno.test("a download is refused in the manager's words, or as `internal` when there are none", async () => {
  const calls = new UpstreamCalls();
  const { manager } = connected(calls);
  const refusal = JSON.stringify({ code: "not_found", message: "No module has that SHA-256" });
  for (
    const [meta, code, says] of [[refusal, "not_found", "No module"], [
      "?",
      "internal",
      "could not be read",
    ]] as const
  ) {
    const asked = calls.fetchModule("a".repeat(64));
    await settle();
    manager.sendFrame({ op: Op.error, id: manager.frames.at(-1)!.id, meta });
    await rejectsWith(() => asked, code, says);
  }
});

Deno.test("whatever happens in whatever order, each request has at most one outcome, and one when all is over", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("request" as const), asker: fc.nat(2), id: fc.nat(3) }),
    fc.record({
      kind: fc.constantFrom("cancel" as const, "answer" as const),
      asker: fc.nat(2),
      id: fc.nat(3),
    }),
    fc.record({
      kind: fc.constantFrom("forget" as const, "reconnect" as const),
      asker: fc.nat(2),
      id: fc.constant(0),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const calls = new UpstreamCalls();
      const outcomes = new Map<string, number>();
      const waiting = new Set<string>();
      const sinks = [0, 1, 2].map((asker): FrameSink => ({
        bufferedBytes: 0,
        sendFrames(bytes, at) {
          const key = `${asker} ${decodeFrame(bytes, at).id}`;
          assert.ok(waiting.delete(key), `an answer to ${key}, which waits for none`);
          outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
        },
      }));
      let connection = connected(calls);
      for (const { kind, asker, id } of steps) {
        const key = `${asker} ${id}`;
        if (kind === "request" && !waiting.has(key)) {
          waiting.add(key);
          ask(calls, id, sinks[asker]);
        } else if (kind === "cancel") calls.cancel(id, sinks[asker]);
        else if (kind === "answer") {
          await settle();
          const frame: FrameParts = { op: Op.reply, id: connection.manager.frames.at(id)?.id ?? 0 };
          connection.manager.sendFrame(frame);
          await settle();
        } else if (kind === "forget") {
          calls.forget(sinks[asker]);
          for (const one of [...waiting]) if (one.startsWith(`${asker} `)) waiting.delete(one);
        } else if (kind === "reconnect") {
          connection.end();
          await settle();
          assert.equal(waiting.size, 0, "a lost connection answers everything");
          connection = connected(calls);
        }
      }
      connection.end();
      await settle();
      assert.deepEqual([...waiting], []);
    }),
    { numRuns: 100 },
  );
});

/** Outbox and inbox against each other: what is pushed here comes out there, whole and in order per id. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { createSystemClock } from "../../lib/clock.ts";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { decodeFrame, encodeFrame, forEachFrame, frameA, frameOp, Op } from "../../lib/protocol/frame.ts";
import { Inbox } from "../../lib/protocol/inbox.ts";
import { Outbox } from "../../lib/protocol/outbox.ts";

const clock = createSystemClock();

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

const frameOf = (id: number, bodyBytes: number, a = 0) =>
  encodeFrame({ op: Op.part, id, a, body: new Uint8Array(bodyBytes).fill(id + a) });

const digest = (bytes: Uint8Array) => createHash("sha1").update(bytes).digest("hex");

function takeBatch(outbox: Outbox): Uint8Array | null {
  const length = outbox.plan();
  if (length === 0) return null;
  const batch = new Uint8Array(length);
  assert.equal(outbox.write(batch, 0), length);
  return batch;
}

/** All there is, for a receiver that takes at once what it gets. */
function batchesOf(outbox: Outbox): Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (let batch = takeBatch(outbox); batch; batch = takeBatch(outbox)) {
    batches.push(batch);
    outbox.taken(batch.length);
  }
  return batches;
}

/** Feeds an inbox in pieces of `step` bytes; copies of the frames it delivers. */
function receive(batches: Uint8Array[], step: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  const inbox = new Inbox({
    deliver: (run) => forEachFrame(run, (at, end) => frames.push(run.slice(at, end))),
    onTaken() {},
    tellTaken() {},
  });
  for (const batch of batches) {
    for (let at = 0; at < batch.length; at += step) inbox.push(batch.slice(at, at + step));
  }
  assert.ok(inbox.isBetweenFrames);
  return frames;
}

/** The operation and the transfer or id of each frame in a batch. */
function opsOf(batch: Uint8Array): string[] {
  const ops: string[] = [];
  forEachFrame(
    batch,
    (at) => ops.push(`${frameOp(batch, at) === Op.chunk ? "chunk" : "frame"} ${idAt(batch, at)}`),
  );
  return ops;
}

const idAt = (bytes: Uint8Array, at: number) =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 8);

Deno.test("frames come out as they went in, also byte by byte, in order per id", () => {
  const sizes = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: limits.chunkBytesMax - 40, max: limits.chunkBytesMax + 40 }),
    fc.integer({ min: limits.chunkBytesMax - 20_000, max: limits.chunkBytesMax - 1 }),
    fc.integer({ min: 0, max: 4 * limits.chunkBytesMax }),
  );
  const pushes = fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), sizes), { maxLength: 30 });
  const steps = fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 70_000 }));
  fc.assert(
    fc.property(pushes, steps, fc.integer({ min: 1, max: 5 }), (list, step, drainEvery) => {
      const outbox = new Outbox(clock);
      const batches: Uint8Array[] = [];
      list.forEach(([id, bytes], i) => {
        const frame = frameOf(id, bytes, i);
        outbox.push(frame, 0, frame.length);
        const batch = i % drainEvery === 0 ? takeBatch(outbox) : null;
        if (!batch) return;
        batches.push(batch);
        outbox.taken(batch.length);
      });
      batches.push(...batchesOf(outbox));
      assert.equal(outbox.bytes, 0);
      // Byte by byte only what is small enough for that.
      const total = batches.reduce((sum, batch) => sum + batch.length, 0);
      const received = receive(batches, Math.max(step, Math.floor(total / 20_000)));
      for (let id = 1; id <= 6; id++) {
        const sent = list.flatMap(([one, bytes], i) => one === id ? [digest(frameOf(id, bytes, i))] : []);
        const own = received.filter((frame) => decodeFrame(frame).id === id);
        assert.deepEqual(own.map(digest), sent);
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("ranges that lie back to back in one buffer, and several frames in one range, stay as they are", () => {
  const message = new Uint8Array([...frameOf(1, 10), ...frameOf(2, 20), ...frameOf(3, 30), ...frameOf(4, 0)]);
  const bounds: [number, number][] = [];
  forEachFrame(message, (at, end) => bounds.push([at, end]));
  const outbox = new Outbox(clock);
  for (const [at, end] of bounds.slice(0, 2)) outbox.push(message, at, end);
  outbox.push(message, bounds[2][0], bounds[3][1]);
  assert.equal(outbox.bytes, message.length);
  assert.deepEqual(batchesOf(outbox), [message]);
});

Deno.test("a batch has at most its size of small frames and one chunk", () => {
  const outbox = new Outbox(clock);
  const large = frameOf(1, 5 * limits.chunkBytesMax);
  outbox.push(large, 0, large.length);
  for (let i = 0; i < 100; i++) {
    const small = frameOf(2 + i, 10_000);
    outbox.push(small, 0, small.length);
  }
  for (const batch of batchesOf(outbox)) {
    assert.ok(
      batch.length <= limits.batchBytesMax + limits.chunkBytesMax,
      `a batch has ${batch.length} bytes`,
    );
    assert.ok(opsOf(batch).filter((op) => op.startsWith("chunk")).length <= 1);
  }
});

Deno.test("a small frame that comes while large ones are under way leaves with the next batch", () => {
  const outbox = new Outbox(clock);
  for (const id of [1, 2, 3]) {
    const large = frameOf(id, limits.bodyBytesMax);
    outbox.push(large, 0, large.length);
  }
  for (let i = 0; i < 5; i++) outbox.taken(takeBatch(outbox)!.length);
  const small = frameOf(9, 64);
  outbox.push(small, 0, small.length);
  assert.equal(opsOf(takeBatch(outbox)!)[0], "frame 9");
});

Deno.test("large frames take turns, so many at once as the receiver has buffers for", () => {
  const outbox = new Outbox(clock);
  const count = limits.transfersAtOnce + 2;
  for (let id = 1; id <= count; id++) {
    const large = frameOf(id, 3 * limits.chunkBytesMax);
    outbox.push(large, 0, large.length);
  }
  const batches = batchesOf(outbox);
  const first = batches.slice(0, limits.transfersAtOnce).flatMap(opsOf);
  assert.equal(new Set(first).size, limits.transfersAtOnce);
  assert.equal(receive(batches, 1 << 20).length, count);
});

Deno.test("frames that follow a large one of their id wait for it, others don't", () => {
  const outbox = new Outbox(clock);
  const large = frameOf(1, 2 * limits.chunkBytesMax);
  outbox.push(large, 0, large.length);
  for (const id of [1, 2]) {
    const small = frameOf(id, 5);
    outbox.push(small, 0, small.length);
  }
  const received = receive(batchesOf(outbox), 1 << 20).map((frame) => decodeFrame(frame));
  assert.deepEqual(received.map(({ id, body }) => [id, body.length]), [
    [2, 5],
    [1, 2 * limits.chunkBytesMax],
    [1, 5],
  ]);
});

Deno.test("a large frame goes behind the small ones of its id that wait for a later batch, and so does what follows", () => {
  const outbox = new Outbox(clock);
  const bodies = [...Array(20).fill(60_000), 70_000, 0];
  bodies.forEach((bytes, i) => {
    const frame = frameOf(1, bytes, i);
    outbox.push(frame, 0, frame.length);
  });
  const received = receive(batchesOf(outbox), 70_000);
  assert.deepEqual(received.map((frame) => frameA(frame, 0)), bodies.map((_, i) => i));
});

Deno.test("what has been written is kept no longer, also where something always waits", async () => {
  const outbox = new Outbox(clock);
  const push = (id: number) => {
    const frame = frameOf(id, 60_000);
    outbox.push(frame, 0, frame.length);
    return new WeakRef(frame);
  };
  const first = push(1);
  for (let id = 2; id < 12; id++) push(id);
  takeBatch(outbox);
  assert.ok(outbox.bytes > 0);
  // A reference is held until the task that made it is over.
  await new Promise((resolve) => setTimeout(resolve, 0));
  collectGarbage();
  assert.equal(first.deref(), undefined);
});

Deno.test("only so many chunks are on their way until the receiver has taken some, small frames go all the same", () => {
  const outbox = new Outbox(clock);
  const large = frameOf(1, limits.bodyBytesMax);
  outbox.push(large, 0, large.length);
  let chunkBytes = 0;
  for (let batch = takeBatch(outbox); batch; batch = takeBatch(outbox)) chunkBytes += batch.length;
  assert.ok(
    chunkBytes >= limits.chunkWindowBytesMin &&
      chunkBytes < limits.chunkWindowBytesMin + limits.chunkBytesMax,
  );
  const small = frameOf(2, 10);
  outbox.push(small, 0, small.length);
  assert.deepEqual(opsOf(takeBatch(outbox)!), ["frame 2"]);
  assert.equal(outbox.plan(), 0);
  outbox.taken(limits.chunkBytesMax);
  assert.deepEqual(opsOf(takeBatch(outbox)!), ["chunk 1"]);
});

Deno.test("a receiver tells what it has taken before the sender's window is used up, and hears of its own", () => {
  const outbox = new Outbox(clock);
  const large = frameOf(1, limits.bodyBytesMax);
  outbox.push(large, 0, large.length);
  let told = 0;
  let heard = 0;
  const delivered: number[] = [];
  const inbox = new Inbox({
    deliver: (frames) => delivered.push(frames.length),
    onTaken: (bytes) => heard += bytes,
    tellTaken(bytes) {
      told += bytes;
      outbox.taken(bytes);
    },
  });
  for (let batch = takeBatch(outbox); batch; batch = takeBatch(outbox)) inbox.push(batch);
  assert.deepEqual(delivered, [large.length]);
  assert.ok(told > limits.bodyBytesMax - limits.chunkWindowBytesMin);
  inbox.push(encodeFrame({ op: Op.taken, id: 0, a: 77 }));
  assert.deepEqual([heard, delivered.length], [77, 1]);
});

function chunk(transfer: number, offset: number, total: number, body: Uint8Array): Uint8Array {
  return encodeFrame({ op: Op.chunk, id: transfer, a: offset, b: total, body });
}

const refusals: [string, Uint8Array[], string][] = [
  ["a gap", [chunk(1, 0, 100, new Uint8Array(10)), chunk(1, 20, 100, new Uint8Array(10))], "invalid_request"],
  ["a start in the middle", [chunk(1, 5, 100, new Uint8Array(10))], "invalid_request"],
  ["more than the whole", [chunk(1, 0, 40, new Uint8Array(41))], "invalid_request"],
  ["an empty chunk", [chunk(1, 0, 40, new Uint8Array(0))], "invalid_request"],
  ["a whole too small for a frame", [chunk(1, 0, 31, new Uint8Array(31))], "invalid_request"],
  ["a whole over the limit", [chunk(1, 0, limits.frameBytesMax + 1, new Uint8Array(9))], "too_large"],
  ["chunks within chunks", [chunk(1, 0, 33, chunk(2, 0, 40, new Uint8Array(1)))], "invalid_request"],
  ["what is no frame", [chunk(1, 0, 40, new Uint8Array(40).fill(255))], "too_large"],
  [
    "too many at once",
    Array.from({ length: limits.transfersAtOnce + 1 }, (_, i) => chunk(i, 0, 1000, new Uint8Array(10))),
    "invalid_request",
  ],
];
for (const [what, frames, code] of refusals) {
  Deno.test(`an inbox refuses ${what}`, () => {
    assert.throws(
      () => receive(frames, 1 << 20),
      (thrown) => thrown instanceof SqwishError && thrown.code === code,
    );
  });
}

Deno.test("an inbox refuses a length that can't be before it makes room for it, wherever the header is cut", () => {
  const header = new Uint8Array(32);
  header.set([0xff, 0xff, 0xff, 0xff, Op.reply]);
  for (const step of [1, 31, 32]) {
    assert.throws(() => receive([header], step), (thrown) => (thrown as SqwishError).code === "too_large");
  }
});

Deno.test("a transfer's number may come again once it is over", () => {
  const whole = frameOf(7, 100, 3);
  const frames = receive(
    [0, 1].flatMap(() => [
      chunk(5, 0, whole.length, whole.slice(0, 60)),
      chunk(5, 60, whole.length, whole.slice(60)),
    ]),
    1 << 20,
  );
  assert.deepEqual(frames.map((frame) => frameA(frame, 0)), [3, 3]);
});

Deno.test("a large frame's memory is given back once it is written, and never what others lie in, too", () => {
  const outbox = new Outbox(clock);
  const frame = frameOf(1, 3 * limits.chunkBytesMax);
  const expected = frame.slice();
  outbox.push(frame, 0, frame.length);
  const first = takeBatch(outbox)!;
  outbox.freeWhenWritten(frame, 0, frame.length);
  assert.equal(frame.length, expected.length, "the rest of it is still to be written");
  assert.deepEqual(receive([first, ...batchesOf(outbox)], limits.chunkBytesMax), [expected]);
  assert.equal(frame.length, 0);

  const written = frameOf(2, 2 * limits.chunkBytesMax);
  const expectedNext = written.slice();
  outbox.push(written, 0, written.length);
  assert.deepEqual(receive(batchesOf(outbox), limits.chunkBytesMax), [expectedNext]);
  outbox.freeWhenWritten(written, 0, written.length);
  assert.equal(written.length, 0);

  const small = frameOf(3, 100);
  const shared = new Uint8Array(4 * limits.chunkBytesMax);
  shared.set(expected, 50);
  for (const [bytes, at, end] of [[small, 0, small.length], [shared, 50, 50 + expected.length]] as const) {
    const { length } = bytes;
    outbox.push(bytes, at, end);
    batchesOf(outbox);
    outbox.freeWhenWritten(bytes, at, end);
    assert.equal(bytes.length, length);
  }
});

Deno.test("what is dropped unwritten is nobody's, and a later frame in its place is not taken for it", () => {
  const outbox = new Outbox(clock);
  const frame = frameOf(1, 2 * limits.chunkBytesMax);
  const { length } = frame;
  outbox.push(frame, 0, length);
  outbox.freeWhenWritten(frame, 0, length);
  outbox.clear();
  outbox.push(frame, 0, length);
  batchesOf(outbox);
  assert.equal(frame.length, length);
});

Deno.test("what an inbox has copied may be overwritten, what it has handed on may not", () => {
  const outbox = new Outbox(clock);
  const large = frameOf(1, 5 * limits.chunkBytesMax);
  outbox.push(large, 0, large.length);
  const delivered: Uint8Array[] = [];
  const deliver = (frames: Uint8Array) => void delivered.push(frames);
  const inbox = new Inbox({ deliver, onTaken() {}, tellTaken() {} });
  const pieces = batchesOf(outbox).flatMap((batch) => [batch.subarray(0, 1000), batch.subarray(1000)]);
  for (const piece of pieces) {
    assert.equal(inbox.push(piece), true);
    piece.fill(0);
  }
  assert.deepEqual(delivered, [large]);
  const small = frameOf(2, 100);
  assert.equal(inbox.push(small), false);
  assert.equal(delivered[1], small);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { createSystemClock } from "../../lib/clock.ts";
import { type ByteStream, FrameSocket } from "../../lib/hosting/frame_socket.ts";
import { limits } from "../../lib/limits.ts";
import { concatBytes, decodeFrame, encodeFrame, frameLength, Op } from "../../lib/protocol/frame.ts";

const clock = createSystemClock();

/** Lets what was promised happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

/** A stream that delivers `chunks` and then ends; keeps what is written, at most `writeBytes` at a time. */
function scripted(chunks: Uint8Array[], writeBytes = Infinity): ByteStream & { written: Uint8Array[] } {
  const queue = [...chunks];
  const written: Uint8Array[] = [];
  return {
    written,
    read(into) {
      const chunk = queue.shift();
      if (!chunk) return Promise.resolve(null);
      const part = chunk.subarray(0, into.length);
      if (part.length < chunk.length) queue.unshift(chunk.subarray(part.length));
      into.set(part);
      return Promise.resolve(part.length);
    },
    write(bytes) {
      const part = bytes.slice(0, writeBytes);
      written.push(part);
      return Promise.resolve(part.length);
    },
    close() {},
  };
}

/** All that arrives; the bodies are looked at in the end, unless the bytes are `freed` as they come. */
function received(
  stream: ByteStream,
  freed = false,
): Promise<{ ids: number[]; bodies: Uint8Array[]; cause: unknown }> {
  const ids: number[] = [];
  const bodies: Uint8Array[] = [];
  return new Promise((resolve) => {
    new FrameSocket(stream, clock, {
      onFrames(bytes, at, end) {
        for (; at < end; at += frameLength(bytes, at)) {
          const frame = decodeFrame(bytes, at);
          ids.push(frame.id);
          bodies.push(freed ? frame.body.slice() : frame.body);
        }
        return freed;
      },
      onClose: (cause) => resolve({ ids, bodies, cause }),
    });
  });
}

Deno.test("frames arrive whole however the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 10 }),
      fc.boolean(),
      async (bodies, cuts, freed) => {
        const all = concatBytes(bodies.map((body, i) => encodeFrame({ op: Op.reply, id: i + 1, body })));
        let cut = 0;
        const exact: Uint8Array[] = [];
        for (let i = 0; cut < all.length; i++) {
          exact.push(all.slice(cut, cut += cuts[i % cuts.length]));
        }
        const got = await received(scripted(exact), freed);
        assert.deepEqual(got.ids, bodies.map((_, i) => i + 1));
        assert.deepEqual(got.bodies.map((body) => [...body]), bodies.map((body) => [...body]));
        assert.equal(got.cause, undefined);
      },
    ),
  );
});

Deno.test("a large frame among small ones is put together from many chunks", async () => {
  const body = new Uint8Array(3_000_000).map((_, i) => i);
  const all = concatBytes(
    [1, 2, 3].map((id) => encodeFrame({ op: Op.reply, id, body: id === 2 ? body : undefined })),
  );
  for (const freed of [false, true]) {
    const got = await received(scripted([all]), freed);
    assert.deepEqual(got.ids, [1, 2, 3]);
    assert.deepEqual(got.bodies[1], body);
  }
});

Deno.test("garbage closes the socket with its cause", async () => {
  const got = await received(scripted([new Uint8Array(64).fill(0xff)]));
  assert.match((got.cause as Error).message, /A frame takes at most/);
});

Deno.test("frames sent while a write is under way go out together, through partial writes", async () => {
  const stream = scripted([], 10);
  // Never ends by itself: the test closes it.
  stream.read = () => new Promise(() => {});
  const socket = new FrameSocket(stream, clock, { onFrames() {}, onClose() {} });
  const frames = [1, 2, 3].map((id) => encodeFrame({ op: Op.cancel, id }));
  for (const frame of frames) socket.sendFrames(frame);
  for (let i = 0; i < 40; i++) await undefined;
  assert.deepEqual(concatBytes(stream.written), concatBytes(frames));
  socket.close();
  socket.sendFrames(frames[0]);
  assert.deepEqual(concatBytes(stream.written).length, 96);
});

Deno.test("what stays unread is counted, and there is word once it has gone down to the low mark", async () => {
  const writes: { bytes: number; done: (count: number) => void }[] = [];
  let drains = 0;
  const stream: ByteStream = {
    read: () => new Promise(() => {}),
    write: (bytes) => new Promise((done) => writes.push({ bytes: bytes.length, done })),
    close() {},
  };
  const socket = new FrameSocket(stream, clock, { onFrames() {}, onDrain: () => drains++, onClose() {} });
  const frame = encodeFrame({ op: Op.reply, id: 1, body: new Uint8Array(60_000) });
  let sentBytes = 0;
  for (; sentBytes <= limits.sendBufferBytesHigh; sentBytes += frame.length) socket.sendFrames(frame);
  assert.equal(socket.bufferedBytes, sentBytes);
  let writtenBytes = 0;
  while (writtenBytes < sentBytes) {
    await settle();
    const { bytes, done } = writes.shift()!;
    assert.ok(bytes <= limits.batchBytesMax);
    assert.equal(socket.bufferedBytes, sentBytes - writtenBytes);
    assert.equal(drains, sentBytes - writtenBytes <= limits.sendBufferBytesLow ? 1 : 0);
    done(bytes);
    writtenBytes += bytes;
  }
  await settle();
  assert.equal(socket.bufferedBytes, 0);
  assert.equal(drains, 1);
  socket.close();
});

Deno.test("nothing is read while reading is paused, and a paused socket can be closed", async () => {
  const frame = encodeFrame({ op: Op.reply, id: 1 });
  let reads = 0;
  let closes = 0;
  const stream: ByteStream = {
    read(into) {
      reads++;
      into.set(frame);
      return Promise.resolve(frame.length);
    },
    write: (bytes) => Promise.resolve(bytes.length),
    close() {},
  };
  const socket: FrameSocket = new FrameSocket(stream, clock, {
    onFrames: () => socket.pauseReading(),
    onClose: () => closes++,
  });
  await settle();
  assert.equal(reads, 1);
  socket.resumeReading();
  await settle();
  assert.equal(reads, 2);
  socket.close();
  await settle();
  assert.equal(closes, 1);
});

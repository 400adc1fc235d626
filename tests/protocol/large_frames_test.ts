/** Memory of large frames: given back once, used again by the next of about that size, out of reach of the one before. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { decodeFrame, encodeFrame, Op } from "../../lib/protocol/frame.ts";
import { freeFrame, isFreeable, newFrame } from "../../lib/protocol/large_frames.ts";

const mebibyte = 1024 * 1024;

function free(frame: Uint8Array): void {
  freeFrame(frame, 0, frame.length);
}

Deno.test("the next frame of about the same size is put where the last one was, which is then empty", () => {
  const first = newFrame(3 * mebibyte);
  first.fill(7);
  free(first);
  assert.equal(first.length, 0);
  const second = newFrame(3 * mebibyte - 5000);
  assert.equal(second.length, 3 * mebibyte - 5000);
  assert.equal(second[second.length - 1], 7, "it is the same memory");
  second.fill(8);
  assert.equal(first[0], undefined);
  free(second);
  assert.notEqual(newFrame(mebibyte)[0], 8, "it is not taken for one that is far smaller");
  assert.notEqual(newFrame(4 * mebibyte)[0], 8, "nor for a larger one");
});

Deno.test("two frames never share memory, and what is freed twice is freed once", () => {
  const first = newFrame(5 * mebibyte);
  free(first);
  free(first);
  const [second, third] = [newFrame(5 * mebibyte).fill(1), newFrame(5 * mebibyte).fill(2)];
  assert.ok(second.every((byte) => byte === 1));
  assert.ok(third.every((byte) => byte === 2));
});

Deno.test("only a large frame that is alone in its buffer is freeable", () => {
  const frame = newFrame(mebibyte + 1);
  assert.ok(isFreeable(frame, 0, frame.length));
  const exact = new Uint8Array(mebibyte);
  assert.ok(isFreeable(exact, 0, mebibyte));
  assert.ok(!isFreeable(exact, 0, mebibyte - 1), "something else may follow");
  assert.ok(!isFreeable(exact, 1, mebibyte));
  assert.ok(!isFreeable(exact.subarray(0, mebibyte / 2), 0, mebibyte / 2));
  const small = newFrame(limits.chunkBytesMax);
  assert.ok(!isFreeable(small, 0, small.length));
});

Deno.test("a frame in used memory says nothing of what was there", () => {
  const body = new Uint8Array(6 * mebibyte);
  const used = newFrame(6 * mebibyte + 100);
  used.fill(255);
  free(used);
  const frame = encodeFrame({ op: Op.reply, id: 1, body });
  assert.equal(decodeFrame(frame).requestId, "0000000000000000");
  assert.deepEqual(
    encodeFrame({ op: Op.reply, id: 1, body: body.subarray(0, 1) }),
    frame.slice(0, 33).map(
      (byte, at) => at < 4 ? [0, 0, 0, 33][at] : byte,
    ),
  );
});

Deno.test("only so much is kept", () => {
  const frames = Array.from({ length: 8 }, () => newFrame(limits.bodyBytesMax).fill(9));
  frames.forEach(free);
  assert.ok(frames.every(({ length }) => length === 0));
  const again = frames.map(() => newFrame(limits.bodyBytesMax));
  const count = again.filter(([first]) => first === 9).length;
  assert.ok(count > 0 && count <= limits.transfersAtOnce, `${count} are kept`);
  again.forEach(free);
});

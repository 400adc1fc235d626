import assert from "node:assert/strict";
import fc from "fast-check";
import { BodyPool } from "../../lib/hosting/body_pool.ts";
import { AnswerWriter } from "../../lib/hosting/answer_writer.ts";
import { NameCache } from "../../lib/protocol/name_cache.ts";
import { decodeFrame, encodeFrame, Flag, frameName, Op } from "../../lib/protocol/frame.ts";

/** Keeps ranges as they are, and looks at them only when it is told to write. */
class LazySink {
  bufferedBytes = 0;
  heldBytes = 0;
  #ranges: { bytes: Uint8Array; at: number; end: number }[] = [];

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    this.#ranges.push({ bytes, at, end });
    this.heldBytes += end - at;
  }

  write(): { id: number; flags: number; a: number; body: Uint8Array }[] {
    this.heldBytes = 0;
    return this.#ranges.splice(0).map(({ bytes, at, end }) => {
      const { id, flags, a, body } = decodeFrame(bytes.slice(at, end));
      return { id, flags, a, body };
    });
  }
}

const reply = fc.record({
  body: fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.uint8Array({ maxLength: 100 }),
    fc.integer({ min: 1, max: 90_000 }).map((length) => "é".repeat(length)),
    fc.integer({ min: 1, max: 200_000 }).map((length) => new Uint8Array(length).fill(7)),
  ),
  isWrittenNext: fc.boolean(),
});

Deno.test("what is written are the frames that were sent, whenever the sink gets to them", () => {
  fc.assert(fc.property(fc.array(reply, { maxLength: 30 }), (replies) => {
    const sink = new LazySink();
    const writer = new AnswerWriter(sink);
    const got: unknown[] = [];
    for (const [id, { body, isWrittenNext }] of replies.entries()) {
      if (typeof body === "string") writer.sendText(Op.reply, id, 9, body, 1_000_000);
      else writer.sendBytes(Op.reply, id, Flag.bytes, 9, body);
      if (isWrittenNext) got.push(...sink.write());
    }
    got.push(...sink.write());
    const expected = replies.map(({ body }, id) =>
      typeof body === "string"
        ? { id, flags: 0, a: 9, body: new TextEncoder().encode(body) }
        : { id, flags: Flag.bytes, a: 9, body }
    );
    assert.deepEqual(got, expected);
  }));
});

Deno.test("a text over the bound is measured and not sent", () => {
  const sink = new LazySink();
  const writer = new AnswerWriter(sink);
  assert.equal(writer.sendText(Op.reply, 1, 0, "é".repeat(50_000), 99_999), 100_000);
  assert.equal(sink.write().length, 0);
});

Deno.test("a module may change or transfer its input: other inputs and the frames stay what they are", () => {
  const pool = new BodyPool();
  const frames = new Uint8Array(5000).map((_, i) => i);
  const [first, second] = [pool.copy(frames, 10, 20), pool.copy(frames, 20, 30)];
  first.fill(0);
  assert.deepEqual([...second], [...frames.subarray(20, 30)]);
  structuredClone(second, { transfer: [second.buffer as ArrayBuffer] });
  assert.deepEqual([...pool.copy(frames, 30, 40)], [...frames.subarray(30, 40)]);
  const large = pool.copy(frames, 0, 5000);
  assert.equal(large.buffer.byteLength, 5000, "a large one is alone in its buffer");
  assert.equal(frames.length, 5000);
});

Deno.test("`NameCache` tells names apart however many there are, and asks once for each in a row", () => {
  let asked = 0;
  const cache = new NameCache((bytes, at) => {
    asked++;
    return frameName(bytes, at);
  });
  fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme", maxLength: 12 })), (names) => {
    for (const name of names) {
      const frame = encodeFrame({ op: Op.request, id: 1, name, body: new Uint8Array(3) });
      assert.equal(cache.get(frame, 0), name);
      const before = asked;
      assert.equal(cache.get(frame, 0), name);
      assert.equal(asked, before);
    }
  }));
});

Deno.test("`NameCache` keeps nothing of a name that is refused", () => {
  const cache = new NameCache<string>((bytes, at) => decodeFrame(bytes, at).name);
  const frame = encodeFrame({ op: Op.request, id: 1, name: "xx" });
  frame[32] = 0xff;
  for (let attempt = 0; attempt < 2; attempt++) assert.throws(() => cache.get(frame, 0), /UTF-8/);
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import {
  decodeFrame,
  encodeFrame,
  Flag,
  forEachFrame,
  frameLengthAt,
  frameName,
  type FrameParts,
  Op,
  setFrameA,
  setFrameB,
  setFrameId,
  setFrameRequestId,
} from "../../lib/protocol/frame.ts";
import { Inbox } from "../../lib/protocol/inbox.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const partsArbitrary: fc.Arbitrary<FrameParts> = fc.record({
  op: fc.constantFrom(...Object.values(Op)),
  flags: fc.integer({ min: 0, max: 7 }),
  id: u32,
  a: u32,
  b: u32,
  name: fc.string({ maxLength: 60, unit: "grapheme" }).filter((name) =>
    new TextEncoder().encode(name).length < 256
  ),
  meta: fc.oneof(fc.constant(""), fc.json()),
  body: fc.uint8Array({ maxLength: 2000 }),
});

Deno.test("`decodeFrame()` gives back what `encodeFrame()` was given", () => {
  fc.assert(fc.property(partsArbitrary, (parts) => {
    const frame = decodeFrame(encodeFrame(parts));
    const { requestId, ...rest } = frame;
    assert.equal(requestId, "0000000000000000");
    assert.deepEqual({ ...rest, body: [...rest.body] }, { ...parts, body: [...parts.body!] });
    assert.equal(frameName(encodeFrame(parts), 0), parts.name);
  }));
});

Deno.test("`encodeFrame()` writes the golden bytes of the specification", async () => {
  const golden = JSON.parse(await Deno.readTextFile(new URL("../golden/frames.json", import.meta.url)));
  for (const { parts, hex, about } of golden) {
    const bytes = encodeFrame({ ...parts, body: new TextEncoder().encode(parts.body ?? "") });
    assert.equal(
      bytes.toHex?.() ?? [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
      hex,
      about,
    );
  }
});

Deno.test("ids, numbers and the request id are rewritten in place without touching the rest", () => {
  const bytes = encodeFrame({
    op: Op.request,
    id: 1,
    a: 2,
    b: 3,
    name: "a/b",
    meta: "{}",
    body: Uint8Array.of(9),
  });
  setFrameId(bytes, 0, 0xffff_fffe);
  setFrameA(bytes, 0, 30_000);
  setFrameB(bytes, 0, (7 << 8) | 2);
  setFrameRequestId(bytes, 0, 0xdead_beef, 5);
  const frame = decodeFrame(bytes);
  assert.equal(frame.id, 0xffff_fffe);
  assert.equal(frame.a, 30_000);
  assert.equal(frame.b, 0x702);
  assert.equal(frame.requestId, "deadbeef00000005");
  assert.equal(frame.name, "a/b");
  assert.equal(frame.meta, "{}");
  assert.deepEqual([...frame.body], [9]);
});

Deno.test("an oversized or unknown frame is refused with what is wrong, a cut one is waited for", () => {
  const good = encodeFrame({ op: Op.request, id: 1, name: "a/b", flags: Flag.bytes });
  const refuses = (bytes: Uint8Array, code: string) =>
    assert.throws(() => frameLengthAt(bytes, 0, bytes.length), (error: SqwishError) => error.code === code);
  assert.equal(frameLengthAt(good, 0, good.length), good.length);
  assert.equal(frameLengthAt(good, 0, good.length - 1), 0);
  assert.equal(frameLengthAt(good, 0, 12), 0);
  const unknown = good.slice();
  unknown[4] = 99;
  refuses(unknown, "invalid_request");
  const short = good.slice();
  short[3] = 33;
  refuses(short, "invalid_request");
  const huge = good.slice();
  huge[0] = 0x7f;
  refuses(huge, "too_large");
  assert.throws(
    () => encodeFrame({ op: Op.request, id: 1, body: new Uint8Array(limits.bodyBytesMax + 1) }),
    /at most 8388608 bytes, this one has 8388609/,
  );
});

Deno.test("random bytes never make a frame that reaches outside of what was received", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const inbox = new Inbox((frames) =>
      forEachFrame(frames, (at, end) => assert.ok(end <= frames.length && at < end))
    );
    try {
      inbox.push(bytes);
    } catch (thrown) {
      assert.ok(thrown instanceof SqwishError);
    }
  }));
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBody, flagsOf } from "../../lib/client/body.ts";
import { RequestWriter } from "../../lib/client/request_writer.ts";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, Flag, Op } from "../../lib/protocol/frame.ts";

const outgoing = fc.record({
  op: fc.constant(Op.request),
  flags: fc.constantFrom(0, Flag.stream, Flag.idempotent),
  name: fc.oneof(fc.constantFrom("e/echo", "images/resize"), fc.string({ unit: "binary", maxLength: 60 })),
  meta: fc.oneof(fc.constant(""), fc.jsonValue().map((value) => JSON.stringify(value))),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.uint8Array({ minLength: 8000, maxLength: 20_000 }),
    fc.jsonValue().map(encodeBody),
    fc.string({ unit: "binary", maxLength: 8000 }),
  ),
});

Deno.test("`RequestWriter` writes what `encodeFrame()` does, and leaves what it has written alone", () => {
  const encoder = new TextEncoder();
  fc.assert(fc.property(fc.array(outgoing, { minLength: 1, maxLength: 30 }), (all) => {
    const writer = new RequestWriter();
    const written: Uint8Array[] = [];
    const expected = all.map((each, index) => {
      writer.write(each, index + 1, index * 1000);
      written.push(writer.bytes.subarray(writer.at, writer.end));
      const body = typeof each.body === "string" ? encoder.encode(each.body) : each.body;
      const flags = each.flags | flagsOf(each.body);
      return encodeFrame({ ...each, id: index + 1, a: index * 1000, flags, body });
    });
    for (const [index, frame] of expected.entries()) assert.deepEqual(written[index], frame);
  }));
});

Deno.test("`RequestWriter` refuses what no frame may hold, and goes on after it", () => {
  const writer = new RequestWriter();
  const fine = { op: Op.request, flags: 0, name: "a/b", meta: "", body: "1" };
  const isTooLarge = (thrown: unknown) => thrown instanceof SqwishError && thrown.code === "too_large";
  assert.throws(() => writer.write({ ...fine, name: "ä".repeat(128) }, 1, 0), isTooLarge);
  assert.throws(
    () => writer.write({ ...fine, meta: "x".repeat(limits.frameMetaBytesMax + 1) }, 1, 0),
    isTooLarge,
  );
  assert.throws(() => writer.write({ ...fine, body: "x".repeat(limits.bodyBytesMax + 1) }, 1, 0), isTooLarge);
  writer.write(fine, 2, 3);
  const bytes = writer.bytes.subarray(writer.at, writer.end);
  assert.deepEqual(
    bytes,
    encodeFrame({ op: Op.request, id: 2, a: 3, name: "a/b", body: new Uint8Array([49]) }),
  );
});

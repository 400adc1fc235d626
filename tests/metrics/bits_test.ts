import assert from "node:assert/strict";
import fc from "fast-check";
import { bestOrder, BitReader, BitWriter, ByteReader, ByteWriter } from "../../lib/metrics/bits.ts";

const number = fc.oneof(
  fc.nat({ max: 20 }),
  fc.nat({ max: 100_000 }),
  fc.integer({ min: 0, max: 2 ** 52 - 2 ** 15 }),
);

Deno.test("Exp-Golomb codes of any order come back, and what fills up the last byte is no number", () => {
  const writer = new BitWriter();
  fc.assert(fc.property(fc.array(number), fc.nat({ max: 15 }), (numbers, order) => {
    writer.clear();
    for (const each of numbers) writer.putGolomb(each, order);
    const reader = new BitReader(writer.take());
    const found: number[] = [];
    for (let next = reader.takeGolomb(order); next !== undefined; next = reader.takeGolomb(order)) {
      found.push(next);
    }
    assert.deepEqual(found, numbers);
  }));
});

Deno.test("codes are the ones of the standard", () => {
  const writer = new BitWriter();
  const bits = (value: number, order: number) => {
    writer.clear();
    writer.putGolomb(value, order);
    return Array.from(writer.take(), (byte) => byte.toString(2).padStart(8, "0")).join("").replace(/0*$/, "");
  };
  // 1, 010, 011, 00100 of order 0; 10, 11, 0100 of order 1; trailing zeros can't be told from the filling.
  assert.deepEqual([0, 1, 2, 3].map((value) => bits(value, 0)), ["1", "01", "011", "001"]);
  assert.deepEqual([0, 1, 2].map((value) => bits(value, 1)), ["1", "11", "01"]);
});

Deno.test("`bestOrder()` is the best of all orders", () => {
  fc.assert(fc.property(fc.array(fc.nat({ max: 5000 }), { minLength: 1, maxLength: 60 }), (numbers) => {
    const writer = new BitWriter();
    const bytes = (order: number) => {
      writer.clear();
      for (const each of numbers) writer.putGolomb(each, order);
      return writer.take().length;
    };
    const fewest = Math.min(...Array.from({ length: 16 }, (_, order) => bytes(order)));
    assert.equal(bytes(bestOrder(numbers)), fewest);
  }));
});

Deno.test("numbers, floats and bytes come back in their order, and a cut is told", () => {
  fc.assert(fc.property(fc.array(number), fc.uint8Array(), (numbers, bytes) => {
    const writer = new ByteWriter();
    for (const each of numbers) writer.number(each);
    writer.bytes(bytes);
    writer.float(0.5);
    const written = writer.take();
    const reader = new ByteReader(written);
    assert.deepEqual(numbers.map(() => reader.number()), numbers);
    assert.deepEqual(reader.bytes(), bytes);
    assert.equal(reader.float(), 0.5);
    assert.ok(reader.isAtEnd);
    const cut = new ByteReader(written.subarray(0, written.length - 1));
    assert.throws(() => {
      for (const _ of numbers) cut.number();
      cut.bytes();
      cut.float();
    }, RangeError);
  }));
});

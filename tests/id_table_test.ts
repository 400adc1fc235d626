import assert from "node:assert/strict";
import fc from "fast-check";
import { IdTable } from "../lib/id_table.ts";

const id = fc.oneof(
  fc.nat(40),
  // The same lower bits, and the largest there are.
  fc.nat(30).map((n) => n * 65_536),
  fc.integer({ min: 0xffff_fff0, max: 0xffff_ffff }),
);
const step = fc.record({ add: fc.boolean(), id });

Deno.test("any history: `IdTable` holds what a Map would", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const table = new IdTable<string>();
      const model = new Map<number, string>();
      for (const [index, { add, id }] of steps.entries()) {
        if (!add) assert.equal(table.delete(id), model.delete(id));
        else if (!model.has(id)) {
          table.add(id, `${index}`);
          model.set(id, `${index}`);
        }
        assert.equal(table.size, model.size);
        assert.equal(table.get(id), model.get(id) ?? null);
        assert.equal(table.has(id), model.has(id));
      }
      for (const [id, value] of model) assert.equal(table.get(id), value);
      assert.deepEqual(table.values().sort(), [...model.values()].sort());
    }),
    { numRuns: 300 },
  );
});

Deno.test("numbers that count up, each gone before the next thousand, stay in their places", () => {
  const table = new IdTable<number>();
  for (let id = 0; id < 100_000; id++) {
    table.add(id, id);
    if (id >= 1000) assert.ok(table.delete(id - 1000));
  }
  assert.equal(table.size, 1000);
  assert.equal(table.get(99_500), 99_500);
  assert.equal(table.get(500), null);
});

/** The order of rows, and how the address names it. */
import assert from "node:assert/strict";
import { compareValues, orderText, parseOrder, sortItems } from "../../dashboard/order.js";

Deno.test("names with numbers go as people count, and equal rows by their names", () => {
  const agents = ["pi-10", "pi-2", "attic"].map((name) => ({ name, cpu: 0.5 }));
  const keyOf = ({ name }: { name: string }) => name;
  const names = (by: (agent: typeof agents[number]) => string | number, down: boolean) =>
    sortItems(agents, { by, keyOf, down }).map(keyOf);
  assert.deepEqual(names(({ name }) => name, false), ["attic", "pi-2", "pi-10"]);
  assert.deepEqual(names(({ name }) => name, true), ["pi-10", "pi-2", "attic"]);
  assert.deepEqual(names(({ cpu }) => cpu, true), ["attic", "pi-2", "pi-10"]);
});

Deno.test("what is missing comes last either way", () => {
  const values = [3, null, 0, undefined, NaN, 7];
  const sorted = (down: boolean) => [...values].sort((a, b) => compareValues(a, b, down)).slice(0, 3);
  assert.deepEqual(sorted(false), [0, 3, 7]);
  assert.deepEqual(sorted(true), [7, 3, 0]);
});

Deno.test("an order survives the address, and one of a column that is not there is none", () => {
  const keys = ["endpoint", "p95Ms"];
  for (const order of [{ key: "p95Ms", down: true }, { key: "endpoint", down: false }]) {
    assert.deepEqual(parseOrder(orderText(order), keys), order);
  }
  for (const text of ["", "-", "-nothing", "constructor", null]) assert.equal(parseOrder(text, keys), null);
});

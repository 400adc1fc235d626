import assert from "node:assert/strict";
import fc from "fast-check";
import { PendingRequest, RequestTable } from "../../lib/client/pending.ts";

class Bare extends PendingRequest {
  onReply(): void {}
  onError(): void {}
}

Deno.test("`RequestTable` finds whatever is in it by an id of its own, and lists it in order", () => {
  // Each number: how many to add, then which of those in the table to take out again.
  const steps = fc.array(fc.tuple(fc.nat(90), fc.array(fc.nat(), { maxLength: 90 })), { maxLength: 20 });
  fc.assert(fc.property(steps, (all) => {
    const table = new RequestTable();
    const model: Bare[] = [];
    const ended: number[] = [];
    for (const [adds, removals] of all) {
      for (let i = 0; i < adds; i++) {
        const request = new Bare({});
        const id = table.takeId();
        assert.equal(table.get(id), null);
        table.add(request, id);
        model.push(request);
      }
      for (const at of removals) {
        if (model.length === 0) break;
        const [request] = model.splice(at % model.length, 1);
        assert.ok(table.delete(request));
        assert.ok(!table.delete(request));
        ended.push(request.id);
      }
      assert.equal(table.size, model.length);
      assert.deepEqual(table.list().map(({ id }) => id), model.map(({ id }) => id));
      for (const request of model) assert.equal(table.get(request.id), request);
      for (const id of ended) assert.equal(table.get(id), null, "an id is not given out twice");
    }
  }));
});

Deno.test("`RequestTable` goes round a request that runs long", () => {
  const table = new RequestTable();
  const long = new Bare({});
  table.add(long, table.takeId());
  for (let i = 0; i < 1000; i++) {
    const short = new Bare({});
    table.add(short, table.takeId());
    assert.notEqual(short.id, long.id);
    table.delete(short);
  }
  assert.equal(table.get(long.id), long);
  assert.equal(table.size, 1);
});

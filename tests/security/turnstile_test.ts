import assert from "node:assert/strict";
import { Turnstile } from "../../lib/security/turnstile.ts";
import { rejectsWith } from "./rejects_with.ts";

/** Work that ends when told to. */
function gatedWork() {
  const started: number[] = [];
  const gates = new Map<number, PromiseWithResolvers<number>>();
  function work(number: number): () => Promise<number> {
    return () => {
      started.push(number);
      const gate = Promise.withResolvers<number>();
      gates.set(number, gate);
      return gate.promise;
    };
  }
  return { started, gates, work };
}

Deno.test("`run()` lets so many work at a time, and the next in the order they came", async () => {
  const turnstile = new Turnstile({ runningMax: 2, waitingMax: 10, action: "checks" });
  const { started, gates, work } = gatedWork();
  const results = [1, 2, 3, 4].map((number) => turnstile.run(work(number)));
  assert.deepEqual(started, [1, 2]);
  gates.get(2)!.resolve(20);
  assert.equal(await results[1], 20);
  assert.deepEqual(started, [1, 2, 3]);
  gates.get(1)!.reject(new Error("broken"));
  await assert.rejects(results[0], /broken/);
  assert.deepEqual(started, [1, 2, 3, 4]);
  gates.get(3)!.resolve(30);
  gates.get(4)!.resolve(40);
  assert.deepEqual(await Promise.all(results.slice(2)), [30, 40]);
  assert.equal(await turnstile.run(() => Promise.resolve(5)), 5);
});

Deno.test("`run()` refuses with `queue_full` when too many wait, and those that wait still get their turn", async () => {
  const turnstile = new Turnstile({ runningMax: 1, waitingMax: 1, action: "checks" });
  const { gates, work } = gatedWork();
  const first = turnstile.run(work(1));
  const second = turnstile.run(() => Promise.resolve(2));
  const error = await rejectsWith(
    () => turnstile.run(work(3)),
    "queue_full",
    "At most 1 checks may wait, 1 do",
  );
  assert.equal(error.details.retryAfterMs, 1000);
  gates.get(1)!.resolve(1);
  assert.deepEqual(await Promise.all([first, second]), [1, 2]);
});

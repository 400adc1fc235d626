import assert from "node:assert/strict";
import fc from "fast-check";
import { acceptsGeneration, type ActualReplica, reconcile, replicaKey } from "../../lib/hosting/reconcile.ts";
import type { ReplicaSpecification } from "../../lib/protocol/messages.ts";

function specification(handle: number, replicaSet: string, revision: number): ReplicaSpecification {
  return {
    handle,
    replicaSet,
    revision,
    version: `1.${revision}`,
    modules: [],
    permissions: { net: ["a:1"] },
    env: {},
    memoryMb: 64,
    timeoutMs: 1000,
  };
}

const replicas = fc.uniqueArray(
  fc.record({
    handle: fc.integer({ min: 1, max: 12 }),
    replicaSet: fc.constantFrom("a", "b", "c"),
    revision: fc.integer({ min: 1, max: 3 }),
  }).map(({ handle, replicaSet, revision }) => specification(handle, replicaSet, revision)),
  { selector: (one) => one.handle, maxLength: 8 },
);

/** What runs once the actions are done, as `handle key`. */
function perform(actual: ActualReplica[], actions: ReturnType<typeof reconcile>): ActualReplica[] {
  let running = [...actual];
  const moved: ActualReplica[] = [];
  for (const action of actions) {
    if (action.type === "stop") running = running.filter((one) => one.handle !== action.handle);
    else if (action.type === "renumber") {
      const at = running.findIndex((one) => one.handle === action.from);
      moved.push({ ...running.splice(at, 1)[0], handle: action.to });
    } else moved.push({ handle: action.specification.handle, key: replicaKey(action.specification) });
  }
  return [...running, ...moved].sort((a, b) => a.handle - b.handle);
}

Deno.test("`reconcile()` leads from any state to exactly what is desired, starting no more than is missing", () => {
  fc.assert(
    fc.property(replicas, replicas, (desired, before) => {
      const actual = before.map((one) => ({ handle: one.handle, key: replicaKey(one) }));
      const actions = reconcile(desired, actual);
      const wanted = desired.map((one) => ({ handle: one.handle, key: replicaKey(one) }))
        .sort((a, b) => a.handle - b.handle);
      assert.deepEqual(perform(actual, actions), wanted);
      for (const action of actions) {
        if (action.type !== "start") continue;
        const key = replicaKey(action.specification);
        const had = actual.filter((one) => one.key === key).length;
        const want = wanted.filter((one) => one.key === key).length;
        assert.ok(want > had, `${key} was started although it ran`);
      }
      assert.deepEqual(reconcile(desired, perform(actual, actions)), []);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("`replicaKey()` ignores the handle and the order of keys, and nothing else", () => {
  const one = specification(1, "a", 1);
  assert.equal(replicaKey({ ...one, handle: 7 }), replicaKey(one));
  const turned = Object.fromEntries(Object.entries(one).reverse()) as ReplicaSpecification;
  assert.equal(replicaKey(turned), replicaKey(one));
  for (
    const change of [
      { revision: 2 },
      { env: { A: "1" } },
      { permissions: {} },
      { memoryMb: 65 },
      { concurrency: 2 },
    ]
  ) {
    assert.notEqual(replicaKey({ ...one, ...change }), replicaKey(one));
  }
});

Deno.test("`acceptsGeneration()` refuses only what is older", () => {
  assert.deepEqual([4, 5, 6].map((generation) => acceptsGeneration(5, { generation })), [false, true, true]);
});

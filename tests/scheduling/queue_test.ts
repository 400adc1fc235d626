import assert from "node:assert/strict";
import fc from "fast-check";
import { FairQueue, type QueueNode } from "../../lib/scheduling/queue.ts";

const always = () => true;

function drainAll<Entry>(queue: FairQueue<Entry>, canServe: (endpoint: string) => boolean = always): Entry[] {
  const entries: Entry[] = [];
  for (let entry = queue.shift(canServe); entry !== null; entry = queue.shift(canServe)) entries.push(entry);
  return entries;
}

Deno.test("`bytes` is what waits, whichever way it came and goes", () => {
  const queue = new FairQueue<string>((entry) => entry.length);
  const middle = queue.push("ada", "set/a", "four");
  queue.push("ada", "set/a", "seven77");
  queue.pushFront("bob", "set/b", "xy");
  assert.equal(queue.bytes, 13);
  queue.remove(middle);
  assert.equal(queue.bytes, 9);
  drainAll(queue);
  assert.equal(queue.bytes, 0);
});

Deno.test("clients take turns, each in its own order", () => {
  const queue = new FairQueue<string>();
  for (const entry of ["a1", "a2", "a3", "a4"]) queue.push("a", "e", entry);
  for (const entry of ["b1", "b2"]) queue.push("b", "e", entry);
  queue.push("c", "e", "c1");
  assert.deepEqual(drainAll(queue), ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
});

Deno.test("asking in vain between two turns gives nobody a second turn", () => {
  const queue = new FairQueue<string>();
  for (const entry of ["a1", "a2", "a3"]) queue.push("a", "e", entry);
  for (const entry of ["b1", "b2", "b3"]) queue.push("b", "e", entry);
  const order: (string | null)[] = [];
  for (let turn = 0; turn < 6; turn++) {
    order.push(queue.shift(always));
    assert.equal(queue.shift(() => false), null);
  }
  assert.deepEqual(order, ["a1", "b1", "a2", "b2", "a3", "b3"]);
});

Deno.test("what costs more than a turn waits for as many turns", () => {
  const queue = new FairQueue<string>();
  queue.push("a", "e", "a1", 3);
  queue.push("a", "e", "a2");
  for (const entry of ["b1", "b2", "b3", "b4"]) queue.push("b", "e", entry);
  assert.deepEqual(drainAll(queue), ["b1", "b2", "a1", "b3", "a2", "b4"]);
});

Deno.test("what can't be served blocks neither the same client nor others, and keeps its place", () => {
  const queue = new FairQueue<string>();
  queue.push("a", "busy", "a1");
  queue.push("a", "free", "a2");
  queue.push("b", "busy", "b1");
  queue.push("b", "free", "b2");
  assert.deepEqual(drainAll(queue, (endpoint) => endpoint === "free"), ["a2", "b2"]);
  queue.push("a", "free", "a3");
  assert.deepEqual(drainAll(queue), ["a1", "b1", "a3"]);
});

Deno.test("`shift()` asks once per endpoint, however many wait for it", () => {
  const queue = new FairQueue<number>();
  for (let client = 0; client < 50; client++) {
    for (let entry = 0; entry < 20; entry++) queue.push(`c${client}`, `e${entry % 2}`, entry);
  }
  const asked: string[] = [];
  queue.shift((endpoint) => {
    asked.push(endpoint);
    return false;
  });
  assert.deepEqual(asked.sort(), ["e0", "e1"]);
});

Deno.test("a slot that comes free for one endpoint gives nobody a second turn at another", () => {
  const queue = new FairQueue<string>();
  queue.push("a", "x", "a1");
  for (const entry of ["b1", "b2", "b3"]) queue.push("b", "y", entry);
  for (const entry of ["c1", "c2", "c3"]) queue.push("c", "x", entry);
  const order: (string | null)[] = [];
  for (const free of ["y", "x", "y", "x", "y", "x"]) order.push(queue.shift((endpoint) => endpoint === free));
  assert.deepEqual(order, ["b1", "a1", "b2", "c1", "b3", "c2"]);
});

Deno.test("what is run again first gives nobody else a second turn", () => {
  const queue = new FairQueue<string>();
  for (const entry of ["a1", "a2"]) queue.push("a", "e", entry);
  queue.push("b", "e", "b1");
  const order = [queue.shift(always)];
  queue.pushFront("c", "e", "c0");
  order.push(...drainAll(queue));
  assert.deepEqual(order, ["a1", "c0", "b1", "a2"]);
});

Deno.test("what is over comes out without costing its client the turn", () => {
  const queue = new FairQueue<string>();
  for (const entry of ["a1 over", "a2 over", "a3", "a4"]) queue.push("a", "e", entry);
  for (const entry of ["b1", "b2 over", "b3"]) queue.push("b", "e", entry);
  const order: (string | null)[] = [];
  while (queue.size > 0) order.push(queue.shift(always, (entry) => entry.endsWith("over")));
  assert.deepEqual(order, ["a1 over", "a2 over", "a3", "b1", "a4", "b2 over", "b3"]);
});

Deno.test("`pushFront()` goes before everything of its client", () => {
  const queue = new FairQueue<string>();
  queue.push("a", "e", "a1");
  queue.pushFront("a", "f", "a0");
  queue.pushFront("b", "e", "b0");
  assert.deepEqual(drainAll(queue), ["b0", "a0", "a1"]);
});

Deno.test("`drain()` takes out one endpoint and leaves the rest", () => {
  const queue = new FairQueue<string>();
  queue.push("a", "e", "a1");
  queue.push("a", "f", "a2");
  queue.push("b", "e", "b1");
  assert.deepEqual(queue.endpoints(), ["e", "f"]);
  assert.deepEqual(queue.drain("e"), ["a1", "b1"]);
  assert.deepEqual([queue.size, queue.waiting("e"), queue.waiting("f")], [1, 0, 1]);
  assert.deepEqual(drainAll(queue), ["a2"]);
});

/** What waits, as plain lists; the next one is any client's first servable, so only order within a client is fixed. */
interface Entry {
  client: number;
  endpoint: number;
  order: number;
}

const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom("push", "pushFront"),
      client: fc.nat(3),
      endpoint: fc.nat(2),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("shift"), servable: fc.subarray([0, 1, 2]) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("remove"), pick: fc.nat(50) }) },
);

Deno.test("any history: first in first out per client among what can be served, nothing lost, nothing twice", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 120, size: "max" }), (operations) => {
      const queue = new FairQueue<Entry>();
      const waiting = new Map<Entry, QueueNode<Entry>>();
      let order = 0;
      for (const step of operations) {
        if ("client" in step) {
          const first = step.op === "pushFront";
          order++;
          const entry = { client: step.client, endpoint: step.endpoint, order: first ? -order : order };
          const push = first ? queue.pushFront : queue.push;
          waiting.set(
            entry,
            push.call(queue, `c${step.client}`, `e${step.endpoint}`, entry) as QueueNode<Entry>,
          );
        } else if ("servable" in step) {
          const servable = [...waiting.keys()].filter((entry) => step.servable.includes(entry.endpoint));
          const next = queue.shift((endpoint) => step.servable.includes(Number(endpoint.slice(1))));
          assert.equal(next === null, servable.length === 0);
          if (!next) continue;
          assert.ok(waiting.delete(next));
          for (const other of servable) {
            assert.ok(other === next || other.client !== next.client || other.order > next.order);
          }
        } else if (waiting.size > 0) {
          const [entry, node] = [...waiting][step.pick % waiting.size];
          queue.remove(node);
          waiting.delete(entry);
        }
        assert.equal(queue.size, waiting.size);
      }
      assert.deepEqual(new Set(drainAll(queue)), new Set(waiting.keys()));
      assert.deepEqual(queue.endpoints(), []);
    }),
    { numRuns: 400 },
  );
});

Deno.test("`aheadOf()` counts a client's own, and the turns that those who wait have meanwhile", () => {
  const queue = new FairQueue<string>();
  assert.equal(queue.aheadOf("a"), 0);
  for (const entry of ["a1", "a2", "a3"]) queue.push("a", "e", entry);
  assert.equal(queue.aheadOf("a"), 3);
  assert.equal(queue.aheadOf("b"), 1, "one of the others, then it is its turn");
  queue.push("b", "e", "b1");
  assert.equal(queue.aheadOf("a"), 7, "b may go on");
  assert.equal(queue.aheadOf("c"), 2);
});

Deno.test("`aheadOf()` learns what others take who come and go", () => {
  const queue = new FairQueue<string>();
  for (let count = 0; count < 300; count++) queue.push("flood", "e", "f");
  // Two of three turns are others', of whom none ever waits long.
  for (let turn = 0; turn < 50; turn++) {
    queue.push("x", "e", "x");
    queue.push("y", "e", "y");
    for (let count = 0; count < 3; count++) queue.shift(always);
  }
  const own = queue.size;
  assert.equal(own, 250);
  const ahead = queue.aheadOf("flood");
  assert.ok(ahead > 2.8 * own && ahead < 3.2 * own, `${ahead} before the next of ${own}`);
});

const step = fc.oneof(
  fc.record({ client: fc.nat(4), endpoint: fc.nat(2) }),
  fc.record({ servable: fc.subarray([0, 1, 2], { minLength: 1 }) }),
);

Deno.test("any history: while a client waits for an endpoint, no other has more than one turn there", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150, size: "max" }), (steps) => {
      const queue = new FairQueue<{ client: number; endpoint: number }>();
      const waiting = new Map<string, number>();
      const count = (key: string, by: number) => waiting.set(key, (waiting.get(key) ?? 0) + by);
      /** Who had a turn since another began to wait there, or had its own last turn. */
      let turns = new Set<string>();
      for (const step of steps) {
        if ("client" in step) {
          queue.push(`c${step.client}`, `e${step.endpoint}`, step);
          count(`${step.client} at ${step.endpoint}`, 1);
          continue;
        }
        const next = queue.shift((endpoint) => step.servable.includes(Number(endpoint.slice(1))));
        if (!next) continue;
        const { client, endpoint } = next;
        count(`${client} at ${endpoint}`, -1);
        turns = new Set([...turns].filter((turn) => !turn.startsWith(`${client} `)));
        for (let other = 0; other <= 4; other++) {
          const turn = `${other} at ${endpoint} waits while it is the turn of ${client}`;
          if (other === client || !waiting.get(`${other} at ${endpoint}`)) continue;
          assert.ok(!turns.has(turn), turn);
          turns.add(turn);
        }
      }
    }),
    { numRuns: 400 },
  );
});

/** Requests and damped agents: others are asked first, nobody waits for them in vain, and nothing is lost by damping alone. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Op, reportOf, requesterNamed, revisionOf, Rig } from "./rig.ts";

/** Agents a, b, …; those in `damped` are. */
function rigOf(count: number, damped: string, slots = 2, seed = 1): Rig {
  const rig = new Rig([revisionOf("images")], seed);
  for (const name of "abcdef".slice(0, count)) {
    rig.connect(name, [reportOf("images", ["resize"], { slots })]).damped = damped.includes(name);
  }
  rig.reroute();
  return rig;
}

/** Requests that each agent has been sent, by its name. */
function sent(rig: Rig): Record<string, number> {
  return Object.fromEntries([...rig.agents].map(([name, { sink }]) => [name, sink.of(Op.request).length]));
}

function ask(rig: Rig, count: number): void {
  const requester = requesterNamed("one");
  for (let id = 1; id <= count; id++) rig.request(requester, "images/resize", { id });
}

Deno.test("a damped agent gets a request only when no other has a free slot", () => {
  const rig = rigOf(3, "b");
  ask(rig, 4);
  assert.deepEqual(sent(rig), { a: 2, b: 0, c: 2 });
  ask(rig, 1);
  assert.deepEqual(sent(rig), { a: 2, b: 1, c: 2 }, "rather there than in the queue");
});

Deno.test("what waits goes to a damped agent when the others are gone, and to the others once they have room", () => {
  const rig = rigOf(2, "b", 1);
  ask(rig, 3);
  assert.deepEqual([sent(rig), rig.dispatcher.snapshot().queued], [{ a: 1, b: 1 }, 1]);
  rig.reply("a", rig.agents.get("a")!.sink.of(Op.request)[0].id);
  assert.deepEqual([sent(rig), rig.dispatcher.snapshot().queued], [{ a: 2, b: 1 }, 0]);
  rig.disconnect("a");
  rig.reply("b", rig.agents.get("b")!.sink.of(Op.request)[0].id);
  ask(rig, 1);
  assert.deepEqual(sent(rig), { a: 2, b: 2 });
});

Deno.test("when all are damped all are used as ever, and a lone damped agent serves", () => {
  const all = rigOf(2, "ab");
  ask(all, 4);
  assert.deepEqual(sent(all), { a: 2, b: 2 });
  const lone = rigOf(1, "a");
  ask(lone, 2);
  assert.deepEqual(sent(lone), { a: 2 });
});

Deno.test("an agent that is damped no more gets its share again", () => {
  const rig = rigOf(2, "b", 8);
  ask(rig, 4);
  assert.deepEqual(sent(rig), { a: 4, b: 0 });
  rig.agents.get("b")!.damped = false;
  rig.reroute();
  ask(rig, 4);
  assert.ok(sent(rig).b > 0);
});

Deno.test("damping never leaves a slot free while something waits, nor takes a request when others are free", () => {
  const history = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant("ask" as const), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({
        kind: fc.constantFrom("reply" as const, "damp" as const),
        agent: fc.constantFrom(..."abc"),
      }),
    ),
    { maxLength: 60 },
  );
  fc.assert(fc.property(history, fc.integer(), (commands, seed) => {
    const rig = rigOf(3, "", 2, seed);
    const running = () =>
      new Map(rig.dispatcher.snapshot().replicas.map((one) => [one.agent, one.outstanding]));
    for (const command of commands) {
      const before = running();
      if (command.kind === "ask") ask(rig, command.count);
      else if (command.kind === "damp") {
        const agent = rig.agents.get(command.agent)!;
        agent.damped = !agent.damped;
        rig.reroute();
      } else {
        const { sink } = rig.agents.get(command.agent)!;
        const request = sink.frames.shift();
        if (request) rig.reply(command.agent, request.id);
      }
      const { replicas, queued } = rig.dispatcher.snapshot();
      const free = replicas.filter(({ outstanding, slots }) => outstanding < slots);
      assert.ok(queued === 0 || free.length === 0, "no slot is free while something waits");
      // What became of the free slots of others while a damped agent was given something.
      if (command.kind !== "ask") continue;
      const isDamped = (name: string) => rig.agents.get(name)!.damped === true;
      const wasGiven = replicas.some((one) =>
        isDamped(one.agent) && one.outstanding > before.get(one.agent)!
      );
      assert.ok(!wasGiven || free.every(({ agent }) => isDamped(agent)), "others are asked first");
    }
  }));
});

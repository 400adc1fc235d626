/** Requests that modules make with `ctx.invoke`: they may have the slots of those that wait for them. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { limits } from "../../lib/limits.ts";
import type { Frame } from "../../lib/protocol/frame.ts";
import {
  errorOf,
  Op,
  reportOf,
  requesterNamed,
  revisionOf,
  Rig,
  type RigAgent,
  type TestRequester,
} from "./rig.ts";

/** On whose behalf an agent's modules ask. */
function modulesOn(agent: string): TestRequester {
  return { ...requesterNamed(`agent ${agent}`), agent };
}

/** Sets of one function each, on one agent with so many slots for each. */
function rigOf(slots: number, ...sets: string[]): { rig: Rig; agent: RigAgent; modules: TestRequester } {
  const rig = new Rig(sets.map((name) => revisionOf(name, { queueMax: 1000 })));
  const agent = rig.connect("pi-1", sets.map((name, at) => reportOf(name, ["f"], { slots, handle: at + 1 })));
  return { rig, agent, modules: modulesOn("pi-1") };
}

const running = ({ sink }: RigAgent) => sink.of(Op.request);

Deno.test("a request may have the slot of the one that waits for it; a client's may not", () => {
  const { rig, agent, modules } = rigOf(2, "text");
  const client = requesterNamed("c1");
  for (const id of [1, 2, 3, 4]) rig.request(client, "text/f", { id });
  assert.equal(running(agent).length, 2);
  const [first] = running(agent);
  rig.request(modules, "text/f", { id: 1, b: first.id });
  assert.equal(running(agent).length, 3, "the nested one runs");
  rig.request(modules, "text/f", { id: 2, b: first.id });
  assert.equal(running(agent).length, 3, "one slot is lent, for one at a time");
  rig.reply("pi-1", running(agent)[2].id);
  assert.equal(modules.sink.of(Op.reply).length, 1);
  assert.equal(running(agent).length, 4, "the second nested one follows, no client's");
  rig.reply("pi-1", running(agent)[3].id);
  rig.request(modules, "text/f", { id: 3 });
  assert.equal(running(agent).length, 4, "the slot is not lent any more");
  rig.reply("pi-1", first.id);
  assert.equal(running(agent).length, 5, "it is free, and a client's turn");
  rig.dispatcher.close();
});

Deno.test("a call that waits elsewhere lends its slot to those that wait for it there", () => {
  const { rig, agent, modules } = rigOf(1, "text", "images");
  const client = requesterNamed("c1");
  rig.request(client, "text/f", { id: 1 });
  rig.request(modules, "images/f", { id: 1, b: running(agent)[0].id });
  // And back again: its only slot is held by whoever waits for this very request.
  rig.request(modules, "text/f", { id: 2, b: running(agent)[1].id });
  assert.equal(running(agent).length, 3);
  // A third one waits, until the request that has the slot itself waits for one of another set.
  rig.request(modules, "text/f", { id: 3, b: running(agent)[1].id });
  assert.equal(running(agent).length, 3);
  rig.request(modules, "images/f", { id: 4, b: running(agent)[2].id });
  assert.equal(running(agent).length, 5);
  for (const { id } of running(agent).toReversed()) rig.reply("pi-1", id);
  assert.equal(client.sink.of(Op.reply).length, 1);
  assert.equal(modules.sink.of(Op.reply).length, 4);
  rig.dispatcher.close();
});

/** Ways in which a nested request, or the one that made it, ends. */
const ends: Record<string, (rig: Rig, modules: TestRequester, outer: Frame, inner: Frame) => void> = {
  "a reply"(rig, _modules, outer, inner) {
    rig.reply("pi-1", inner.id);
    rig.reply("pi-1", outer.id);
  },
  "an error"(rig, _modules, outer, inner) {
    rig.error("pi-1", inner.id, "module_failed");
    rig.error("pi-1", outer.id, "module_failed");
  },
  "the caller's reply, while the call goes on"(rig, _modules, outer, inner) {
    rig.reply("pi-1", outer.id);
    rig.reply("pi-1", inner.id);
  },
  "a cancel"(rig, modules, outer, inner) {
    rig.dispatcher.cancel(modules, 1);
    rig.error("pi-1", inner.id, "cancelled");
    rig.reply("pi-1", outer.id);
  },
  "a deadline"(rig, _modules, outer, inner) {
    rig.clock.advance(2000);
    rig.error("pi-1", inner.id, "deadline_exceeded");
    rig.error("pi-1", outer.id, "deadline_exceeded");
  },
  "the loss of its agent"(rig, modules) {
    rig.disconnect("pi-1");
    rig.dispatcher.requesterGone(modules);
    rig.connect("pi-1", rig.agents.get("pi-1")!.reports);
  },
};

for (const [how, end] of Object.entries(ends)) {
  Deno.test(`after ${how} no slot is lent, and none is lost`, () => {
    const { rig, modules } = rigOf(2, "text");
    const client = requesterNamed("c1");
    rig.request(client, "text/f", { id: 1, a: 1000 });
    const [outer] = running(rig.agents.get("pi-1")!);
    rig.request(modules, "text/f", { id: 1, a: 1000, b: outer.id });
    const inner = running(rig.agents.get("pi-1")!)[1];
    end(rig, modules, outer, inner);
    const agent = rig.agents.get("pi-1")!;
    const before = running(agent).length;
    for (const id of [11, 12, 13]) rig.request(client, "text/f", { id });
    rig.request(modules, "text/f", { id: 14, b: 0 });
    assert.equal(running(agent).length, before + 2);
    assert.equal(rig.dispatcher.snapshot().queued, 2);
    rig.dispatcher.close();
  });
}

Deno.test("a request that has replied lends nothing, though its call goes on", () => {
  const { rig, agent, modules } = rigOf(1, "text");
  rig.request(requesterNamed("c1"), "text/f");
  const [outer] = running(agent);
  rig.request(modules, "text/f", { id: 1, b: outer.id });
  rig.reply("pi-1", outer.id);
  rig.request(modules, "text/f", { id: 2 });
  assert.equal(running(agent).length, 2);
  rig.dispatcher.close();
});

Deno.test("a call that is refused lends nothing", () => {
  const rig = new Rig([revisionOf("text"), revisionOf("full", { queueMax: 0 })]);
  const reports = ["text", "full"].map((name, at) => reportOf(name, ["f"], { slots: 1, handle: at + 1 }));
  const agent = rig.connect("pi-1", reports);
  const modules = modulesOn("pi-1");
  for (const [at, set] of ["text", "full"].entries()) {
    rig.request(requesterNamed("c1"), `${set}/f`, { id: at + 1 });
  }
  const [{ id: b }] = running(agent);
  for (const [at, set] of ["full", "nothing"].entries()) rig.request(modules, `${set}/f`, { id: at + 1, b });
  assert.deepEqual(modules.sink.of(Op.error).map((frame) => errorOf(frame).code), [
    "queue_full",
    "not_found",
  ]);
  // Nested in nothing that runs.
  rig.request(modules, "text/f", { id: 3, b: 12_345 });
  assert.equal(running(agent).length, 2);
  rig.dispatcher.close();
});

Deno.test("slots are lent on damped agents, too", () => {
  const { rig, agent, modules } = rigOf(1, "text");
  agent.damped = true;
  rig.reroute();
  rig.request(requesterNamed("c1"), "text/f");
  rig.request(modules, "text/f", { b: running(agent)[0].id });
  assert.equal(running(agent).length, 2);
  rig.dispatcher.close();
});

Deno.test("a function that calls itself once it has replied goes on for ever, as a timer would", () => {
  const { rig, agent, modules } = rigOf(1, "text");
  rig.request(requesterNamed("c1"), "text/f");
  for (let id = 1; id <= 3 * limits.callDepthMax; id++) {
    const last = running(agent).at(-1)!;
    rig.request(modules, "text/f", { id, b: last.id });
    rig.reply("pi-1", last.id);
  }
  assert.equal(running(agent).length, 1 + 3 * limits.callDepthMax);
  rig.dispatcher.close();
});

Deno.test("functions that call each other in a circle are told so before they fill the queues", () => {
  const { rig, agent, modules } = rigOf(1, "text");
  rig.request(requesterNamed("c1"), "text/f");
  for (let depth = 1; depth <= limits.callDepthMax; depth++) {
    rig.request(modules, "text/f", { id: depth, b: running(agent).at(-1)!.id });
  }
  assert.equal(running(agent).length, limits.callDepthMax);
  const [error] = modules.sink.of(Op.error).map(errorOf);
  assert.equal(error.code, "invalid_request");
  assert.match(error.message, /at most 32 deep, text\/f calls text\/f at that depth/);
  rig.dispatcher.close();
});

/** What a request calls, at once, before it replies. */
interface Plan {
  set: number;
  isNested: boolean;
  calls: Plan[];
}

const plans: fc.Memo<Plan[]> = fc.memo((depth) =>
  depth <= 1 ? fc.constant([]) : fc.array(
    fc.record({ set: fc.nat(1), isNested: fc.constant(true), calls: plans(depth - 1) }),
    { maxLength: 3 },
  )
);
const asked = fc.array(
  fc.record({ set: fc.nat(1), isNested: fc.constant(false), calls: plans(4) }),
  { maxLength: 8 },
);

/** An agent whose modules do as the requests' bodies say; which of those that wait for nothing replies next is chance. */
class Modules {
  /** Clients' requests that run, by set. */
  readonly outer = [0, 0];
  readonly #rig: Rig;
  readonly #agent: RigAgent;
  readonly #requester: TestRequester;
  readonly #plans = new Map<number, Plan>();
  /** Whom a call's reply is for, and how many replies each still waits for. */
  readonly #callers = new Map<number, number>();
  readonly #missing = new Map<number, number>();
  readonly #ready: number[] = [];
  #calls = 0;
  #taken = 0;
  #told = 0;

  constructor(rig: Rig, agent: RigAgent, requester: TestRequester) {
    this.#rig = rig;
    this.#agent = agent;
    this.#requester = requester;
  }

  /** Until there is nothing to do. */
  run(chance: number, look: () => void): void {
    for (;;) {
      while (this.#taken < running(this.#agent).length) this.#start(running(this.#agent)[this.#taken++]);
      const replies = this.#requester.sink.of(Op.reply);
      while (this.#told < replies.length) this.#wait(this.#callers.get(replies[this.#told++].id)!, -1);
      look();
      if (this.#ready.length === 0) return;
      const [id] = this.#ready.splice(chance % this.#ready.length, 1);
      const { set, isNested } = this.#plans.get(id)!;
      if (!isNested) this.outer[set]--;
      this.#rig.reply("pi-1", id);
    }
  }

  #start({ id, body }: Frame): void {
    const plan: Plan = JSON.parse(new TextDecoder().decode(body));
    this.#plans.set(id, plan);
    if (!plan.isNested) this.outer[plan.set]++;
    this.#wait(id, plan.calls.length);
    for (const call of plan.calls) {
      this.#callers.set(++this.#calls, id);
      this.#rig.request(this.#requester, `${sets[call.set]}/f`, {
        id: this.#calls,
        b: id,
        body: bodyOf(call),
      });
    }
  }

  #wait(id: number, more: number): void {
    const missing = (this.#missing.get(id) ?? 0) + more;
    this.#missing.set(id, missing);
    if (missing === 0) this.#ready.push(id);
  }
}

const sets = ["text", "images"];
const bodyOf = (plan: Plan) => new TextEncoder().encode(JSON.stringify(plan));

Deno.test("whatever calls what, all is answered in the end, and clients have no more than the slots", () => {
  fc.assert(fc.property(asked, fc.nat(), fc.integer({ min: 1, max: 3 }), (outer, chance, slots) => {
    const { rig, agent, modules: requester } = rigOf(slots, ...sets);
    const client = requesterNamed("c1");
    outer.forEach((plan, at) =>
      rig.request(client, `${sets[plan.set]}/f`, { id: at + 1, body: bodyOf(plan) })
    );
    const modules = new Modules(rig, agent, requester);
    modules.run(chance, () => assert.ok(Math.max(...modules.outer) <= slots));
    assert.equal(client.sink.of(Op.reply).length, outer.length);
    assert.deepEqual(rig.dispatcher.watched, { requests: 0, deadlines: 0 });
    rig.dispatcher.close();
  }));
});

/** Who does not read gets nothing, what can't be in time is refused, and slots follow what replies show. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { errorOf, Op, RecordingSink, reportOf, requesterNamed, revisionOf, Rig } from "./rig.ts";

/** A sink that says whether too much waits for its peer. */
class SlowSink extends RecordingSink {
  override jammed = false;
}

function rigWith(queueMax = 1000, slots = 2, adaptive = false): Rig {
  const rig = new Rig([revisionOf("images", { queueMax, timeoutMs: 1000 })]);
  rig.connect("pi-1", [reportOf("images", ["resize"], { slots, adaptive })]);
  return rig;
}

Deno.test("an agent that has too much to read gets no more requests until it has read", () => {
  const rig = new Rig([revisionOf("images")]);
  const sink = new SlowSink();
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 10 })], sink);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  sink.jammed = true;
  rig.request(client, "images/resize", { id: 2 });
  rig.request(client, "images/resize", { id: 3 });
  assert.equal(agent.sink.of(Op.request).length, 1);
  assert.equal(rig.dispatcher.snapshot().queued, 2);
  sink.jammed = false;
  rig.dispatcher.drained();
  assert.equal(agent.sink.of(Op.request).length, 3);
  rig.dispatcher.close();
});

Deno.test("a client that does not read has nothing more run, others have, and it goes on once it has read", () => {
  const rig = rigWith();
  const agent = rig.agents.get("pi-1")!;
  const slow = { ...requesterNamed("slow"), sink: new SlowSink() };
  slow.sink.jammed = true;
  for (const id of [1, 2]) rig.request(slow, "images/resize", { id });
  assert.equal(agent.sink.of(Op.request).length, 0);
  const quick = requesterNamed("quick");
  // Those that wait go first, but these may not: the ones behind them are served from the queue, at once.
  for (const id of [1, 2, 3]) rig.request(quick, "images/resize", { id });
  assert.equal(agent.sink.of(Op.request).length, 2);
  for (const { id } of agent.sink.of(Op.request)) rig.reply("pi-1", id);
  assert.equal(quick.sink.of(Op.reply).length, 2);
  assert.equal(slow.sink.frames.length, 0);
  slow.sink.jammed = false;
  rig.dispatcher.drained();
  for (const { id } of agent.sink.of(Op.request)) rig.reply("pi-1", id);
  for (const { id } of agent.sink.of(Op.request)) rig.reply("pi-1", id);
  assert.equal(slow.sink.of(Op.reply).length, 2);
  rig.dispatcher.close();
});

Deno.test("a request that can't be in time behind its own client's others is refused before it costs an agent anything", () => {
  const rig = rigWith();
  const agent = rig.agents.get("pi-1")!;
  const client = requesterNamed("c1");
  // Two at a time, 100 ms each, as many as it takes to know.
  for (let id = 1; id <= 40; id++) {
    rig.request(client, "images/resize", { id, a: 60_000 });
    rig.clock.advance(100);
    rig.reply("pi-1", agent.sink.of(Op.request).at(-1)!.id, 100_000);
  }
  for (let id = 101; id <= 200; id++) rig.request(client, "images/resize", { id, a: 60_000 });
  const sent = agent.sink.of(Op.request).length;
  client.sink.frames = [];
  rig.request(client, "images/resize", { id: 201, a: 1000 });
  const [refusal] = client.sink.of(Op.error);
  const { code, details } = errorOf(refusal);
  assert.equal(code, "queue_full");
  assert.ok((details.retryAfterMs as number) >= limits.retryAfterMsMin);
  assert.equal(agent.sink.of(Op.request).length, sent);
  // Another client's turn comes sooner, and who allows more time is let in.
  const other = requesterNamed("c2");
  rig.request(other, "images/resize", { id: 1, a: 1000 });
  rig.request(client, "images/resize", { id: 202, a: 60_000 });
  assert.deepEqual([other.sink.frames.length, client.sink.of(Op.error).length], [0, 1]);
  rig.dispatcher.close();
});

Deno.test("slots that adapt grow under a load that waits, slots that somebody set stay", () => {
  for (const adaptive of [true, false]) {
    const rig = rigWith(100_000, 2, adaptive);
    const agent = rig.agents.get("pi-1")!;
    const client = requesterNamed("c1");
    for (let id = 1; id <= 300; id++) rig.request(client, "images/resize", { id, a: 60_000_000 });
    let id = 300;
    for (let round = 0; round < 40; round++) {
      const running = agent.sink.of(Op.request);
      agent.sink.frames = [];
      rig.clock.advance(200);
      for (const request of running) {
        rig.reply("pi-1", request.id, 199_000);
        rig.request(client, "images/resize", { id: ++id, a: 60_000_000 });
      }
    }
    const [{ slots }] = rig.dispatcher.snapshot().replicas;
    if (adaptive) assert.ok(slots >= 64, `${slots} slots after 40 rounds of waiting`);
    else assert.equal(slots, 2);
    rig.dispatcher.close();
  }
});

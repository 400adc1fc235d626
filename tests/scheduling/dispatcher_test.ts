import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { concatBytes, encodeFrame } from "../../lib/protocol/frame.ts";
import { errorOf, Flag, Op, reportOf, requesterNamed, revisionOf, Rig } from "./rig.ts";

const images = () => [revisionOf("images")];

Deno.test("a request goes to the agent with its budget, handle and attempt, and the reply comes back under the client's id", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { handle: 5 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 42, a: 700, body: new Uint8Array([1, 2, 3]) });

  const [sent] = agent.sink.of(Op.request);
  assert.equal(sent.a, 700);
  assert.equal(sent.b, (5 << 8) | 1);
  assert.equal(sent.requestId, "0000000700000001");
  assert.deepEqual([...sent.body], [1, 2, 3]);

  rig.clock.advance(10);
  rig.reply("pi-1", sent.id, 9000);
  const [reply] = client.sink.frames;
  assert.equal(reply.op, Op.reply);
  assert.equal(reply.id, 42);
  assert.equal(reply.a, 9000);
  assert.equal(reply.b, 0);
  assert.equal(reply.requestId, "0000000700000001");
  assert.deepEqual(rig.outcomes, [{
    endpoint: "images/resize",
    replicaSet: "images",
    revision: 1,
    agent: "pi-1",
    code: "ok",
    queueMs: 0,
    totalMs: 10,
    runUs: 9000,
    requester: "user-c1",
    number: 1,
    message: "",
  }]);
  assert.equal(rig.dispatcher.snapshot().outstanding, 0);
  rig.dispatcher.close();
});

Deno.test("a reply is forwarded within the agent's own message, without a copy", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  const sent: [Uint8Array, number?, number?][] = [];
  const client = {
    ...requesterNamed("c1"),
    sink: { sendFrames: (...range: [Uint8Array, number?, number?]) => void sent.push(range) },
  };
  const request = encodeFrame({ op: Op.request, id: 3, name: "images/resize" });
  rig.dispatcher.admit(client, request, 0, request.length);
  const runId = agent.sink.frames[0].id;
  const other = encodeFrame({ op: Op.reply, id: 999_999 });
  const message = concatBytes([other, encodeFrame({ op: Op.reply, id: runId })]);
  rig.dispatcher.answer("pi-1", message, other.length, message.length);
  assert.deepEqual(sent, [[message, other.length, message.length]]);
  assert.equal(sent[0][0], message);
  rig.dispatcher.close();
});

Deno.test("what finds no free slot waits, and its reply says how long", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2 });
  assert.equal(agent.sink.of(Op.request).length, 1);
  const { sets, endpoints } = rig.dispatcher.snapshot();
  assert.deepEqual(sets.get("images"), { queued: 1, outstanding: 1, slots: 1 });
  assert.deepEqual([...endpoints], [["images/resize", { queued: 1, outstanding: 1 }]]);
  rig.clock.advance(30);
  rig.reply("pi-1", agent.sink.frames[0].id);
  const second = agent.sink.of(Op.request)[1];
  assert.equal(second.a, 970, "the budget has shrunk by the wait");
  rig.reply("pi-1", second.id);
  assert.equal(client.sink.frames[1].id, 2);
  assert.equal(client.sink.frames[1].b, 30_000);
  assert.equal(rig.outcomes[1].queueMs, 30);
  rig.dispatcher.close();
});

Deno.test("a queued request doesn't keep the message alive that it came in", () => {
  const rig = new Rig(images());
  const frame = encodeFrame({ op: Op.request, id: 1, name: "images/resize" });
  const message = concatBytes([
    frame,
    encodeFrame({ op: Op.request, id: 2, name: "x", body: new Uint8Array(5000) }),
  ]);
  const client = requesterNamed("c1");
  rig.dispatcher.admit(client, message, 0, frame.length);
  message.fill(0);
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  assert.equal(agent.sink.of(Op.request)[0].name, "images/resize");
  rig.dispatcher.close();
});

Deno.test("requests for a set whose functions aren't known yet wait until a replica shows them", () => {
  const rig = new Rig(images());
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/nonsense", { id: 2 });
  assert.equal(client.sink.frames.length, 0);
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  assert.deepEqual(agent.sink.of(Op.request).map((frame) => frame.name), ["images/resize"]);
  const [refused] = client.sink.of(Op.error);
  assert.equal(refused.id, 2);
  assert.equal(errorOf(refused).code, "not_found");
  assert.equal(errorOf(refused).details.mayHaveRun, "no");
  rig.dispatcher.close();
});

Deno.test("what only the busy revision can run doesn't hold up what the free one can", () => {
  const rig = new Rig([revisionOf("images", {}, 2)]);
  const older = rig.connect("old", [reportOf("images", ["resize"], { revision: 1, slots: 1 })]);
  const newer = rig.connect("new", [reportOf("images", ["resize", "crop"], { revision: 2, slots: 1 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/crop", { id: 1 });
  rig.request(client, "images/crop", { id: 2 });
  rig.request(client, "images/resize", { id: 3 });
  assert.deepEqual(newer.sink.of(Op.request).map((frame) => frame.name), ["images/crop"]);
  assert.deepEqual(older.sink.of(Op.request).map((frame) => frame.name), ["images/resize"]);
  rig.reply("old", older.sink.frames[0].id);
  assert.equal(older.sink.of(Op.request).length, 1, "the older revision never gets what it doesn't have");
  rig.reply("new", newer.sink.frames[0].id);
  assert.equal(newer.sink.of(Op.request).length, 2);
  rig.dispatcher.close();
});

Deno.test("idempotent requests of a lost agent run again elsewhere, others are answered with agent_lost", () => {
  const rig = new Rig(images());
  const first = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1, flags: Flag.idempotent });
  rig.request(client, "images/resize", { id: 2 });
  assert.equal(first.sink.of(Op.request).length, 2);
  rig.disconnect("pi-1");
  const [lost] = client.sink.frames;
  assert.equal(lost.id, 2);
  assert.equal(errorOf(lost).code, "agent_lost");
  assert.equal(errorOf(lost).details.mayHaveRun, "maybe");

  const second = rig.connect("pi-2", [reportOf("images", ["resize"])]);
  const [again] = second.sink.of(Op.request);
  assert.equal(again.b & 255, 2, "it says that this is the second attempt");
  rig.reply("pi-2", again.id);
  assert.equal(client.sink.frames[1].id, 1);
  assert.deepEqual(rig.outcomes.map(({ code, agent }) => [code, agent]), [["agent_lost", "pi-1"], [
    "ok",
    "pi-2",
  ]]);
  rig.dispatcher.close();
});

Deno.test("what a lost agent had goes to a free one at once, before the table has changed", () => {
  const rig = new Rig(images());
  const agents = [1, 2].map((index) => rig.connect(`pi-${index}`, [reportOf("images", ["resize"])]));
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1, flags: Flag.idempotent });
  const lost = agents[0].sink.frames.length > 0 ? 0 : 1;
  rig.dispatcher.agentGone(agents[lost].name, "its connection closed");
  assert.equal(agents[1 - lost].sink.of(Op.request).length, 1);
  rig.dispatcher.close();
});

Deno.test("an endpoint's own word on idempotence counts, and attempts are bounded", () => {
  const rig = new Rig(images());
  const endpoints = [{ name: "resize", stream: false, idempotent: true }];
  const client = requesterNamed("c1");
  rig.connect("pi-0", [reportOf("images", [], { endpoints })]);
  rig.request(client, "images/resize", { id: 1 });
  for (let attempt = 0; attempt < limits.attemptsMax; attempt++) {
    assert.equal(client.sink.frames.length, 0);
    rig.disconnect(`pi-${attempt}`);
    rig.connect(`pi-${attempt + 1}`, [reportOf("images", [], { endpoints })]);
  }
  const [lost] = client.sink.frames;
  assert.equal(errorOf(lost).code, "agent_lost");
  assert.equal(errorOf(lost).details.attempts, limits.attemptsMax);
  rig.dispatcher.close();
});

Deno.test("a stream isn't run again once a part has gone out", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["count"])]);
  const client = requesterNamed("c1");
  rig.request(client, "images/count", { id: 8, flags: Flag.stream | Flag.idempotent });
  const runId = agent.sink.frames[0].id;
  rig.answer("pi-1", { op: Op.part, id: runId });
  rig.dispatcher.credit(client, 8, 64);
  const [credit] = agent.sink.of(Op.credit);
  assert.deepEqual([credit.id, credit.a], [runId, 64]);
  rig.disconnect("pi-1");
  assert.deepEqual(client.sink.frames.map((frame) => [frame.op, frame.id]), [[Op.part, 8], [Op.error, 8]]);
  rig.dispatcher.close();
});

Deno.test("a request that the agent gives back unrun goes elsewhere without counting as a run, idempotent or not", () => {
  const rig = new Rig(images());
  const first = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.error("pi-1", first.sink.frames[0].id, "no_ready_replica", { mayHaveRun: "no" });
  assert.equal(first.sink.of(Op.request).length, 1, "not at once to the same replica again");
  assert.equal(client.sink.frames.length, 0);
  const second = rig.connect("pi-2", [reportOf("images", ["resize"], { slots: 1 })]);
  assert.equal(second.sink.of(Op.request)[0].b & 255, 1);
  rig.request(client, "images/resize", { id: 2 });
  rig.clock.advance(limits.refusalHoldMs);
  assert.equal(first.sink.of(Op.request).length, 2, "after the hold the replica is used again");
  rig.dispatcher.close();
});

Deno.test("a stream that ends with no_ready_replica after a part is passed on, not started again", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["count"])]);
  const client = requesterNamed("c1");
  rig.request(client, "images/count", { id: 1, flags: Flag.stream });
  const runId = agent.sink.frames[0].id;
  rig.answer("pi-1", { op: Op.part, id: runId });
  rig.error("pi-1", runId, "no_ready_replica");
  assert.deepEqual(client.sink.frames.map((frame) => frame.op), [Op.part, Op.error]);
  rig.dispatcher.close();
});

Deno.test("a cancelled request of a lost agent gives its slot back once, though its grace comes later", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.dispatcher.cancel(client, 1);
  rig.dispatcher.agentConnected("pi-1", agent.sink);
  rig.clock.advance(limits.cancelGraceMs);
  assert.equal(rig.dispatcher.snapshot().outstanding, 0);
  rig.dispatcher.close();
});

Deno.test("what is past its deadline gets no slot, even when the timer is late", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2, a: 50 });
  rig.request(client, "images/resize", { id: 3, a: 500 });
  // The manager was busy for 100 ms: time has passed, no timer has fired yet.
  rig.clock.monotonicMs = () => 100;
  rig.reply("pi-1", agent.sink.frames[0].id);
  assert.deepEqual(client.sink.frames.map((frame) => [frame.op, frame.id]), [[Op.reply, 1], [Op.error, 2]]);
  assert.equal(agent.sink.of(Op.request)[1].a, 400);
  rig.dispatcher.close();
});

Deno.test("a client whose request is too late for a slot gives it to its own next one, not to others", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const [hasty, other] = ["hasty", "other"].map((id) => requesterNamed(id));
  rig.request(other, "images/resize", { id: 1 });
  rig.request(hasty, "images/resize", { id: 2, a: 50 });
  rig.request(hasty, "images/resize", { id: 3, a: 500 });
  for (const id of [4, 5]) rig.request(other, "images/resize", { id, a: 600 });
  rig.clock.monotonicMs = () => 100;
  rig.reply("pi-1", agent.sink.frames[0].id);
  assert.deepEqual(hasty.sink.frames.map((frame) => [frame.op, frame.id]), [[Op.error, 2]]);
  assert.equal(agent.sink.of(Op.request)[1].a, 400);
  rig.dispatcher.close();
});

Deno.test("late replies, double replies and replies from the wrong agent are dropped", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  rig.connect("pi-2", []);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  const runId = agent.sink.frames[0].id;
  rig.reply("pi-2", runId);
  rig.reply("nobody", runId);
  assert.equal(client.sink.frames.length, 0);
  rig.reply("pi-1", runId);
  rig.reply("pi-1", runId);
  rig.error("pi-1", runId, "internal");
  assert.equal(client.sink.frames.length, 1);
  assert.equal(rig.dispatcher.snapshot().outstanding, 0);
  rig.dispatcher.close();
});

Deno.test("an agent that connects anew gets nothing from its older connection's time", () => {
  const rig = new Rig(images());
  const older = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  const newer = rig.connect("pi-1", [reportOf("images", ["resize"], { handle: 9 })]);
  assert.equal(errorOf(client.sink.frames[0]).code, "agent_lost");
  rig.reply("pi-1", older.sink.frames[0].id);
  assert.equal(client.sink.frames.length, 1);
  rig.request(client, "images/resize", { id: 2 });
  assert.equal(newer.sink.of(Op.request)[0].b >>> 8, 9);
  rig.dispatcher.close();
});

Deno.test("a slot taken before stays taken when the table and the handle change", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  agent.reports = [reportOf("images", ["resize"], { state: "loading", slots: 1 })];
  rig.reroute();
  agent.reports = [reportOf("images", ["resize"], { handle: 2, slots: 1 })];
  rig.reroute();
  rig.request(client, "images/resize", { id: 2 });
  assert.equal(agent.sink.of(Op.request).length, 1);
  rig.reply("pi-1", agent.sink.frames[0].id);
  assert.equal(agent.sink.of(Op.request)[1].b >>> 8, 2);
  rig.dispatcher.close();
});

Deno.test("a suspect agent gets no new requests, and its running ones may still end", () => {
  const rig = new Rig(images());
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"])]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  agent.health = "suspect";
  rig.reroute();
  rig.request(client, "images/resize", { id: 2 });
  assert.equal(agent.sink.of(Op.request).length, 1);
  rig.reply("pi-1", agent.sink.frames[0].id);
  assert.equal(client.sink.of(Op.reply)[0].id, 1);
  agent.health = "ready";
  rig.reroute();
  assert.equal(agent.sink.of(Op.request).length, 2);
  rig.dispatcher.close();
});

Deno.test("a sink that answers at once, within the send, leaves nothing behind", () => {
  const rig = new Rig([revisionOf("images", { queueMax: 5000 })]);
  const client = requesterNamed("c1");
  for (let id = 1; id <= 3000; id++) rig.request(client, "images/resize", { id });
  const sendFrames = (bytes: Uint8Array) => {
    const runId = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8);
    rig.reply("pi-1", runId);
  };
  rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  rig.dispatcher.agentConnected("pi-1", { sendFrames });
  assert.equal(client.sink.of(Op.reply).length, 2999);
  assert.equal(errorOf(client.sink.of(Op.error)[0]).code, "agent_lost");
  assert.equal(rig.dispatcher.snapshot().queued, 0);
  rig.dispatcher.close();
});

Deno.test("a modest client gets every other slot beside a flooding one", () => {
  const rig = new Rig([revisionOf("images", { queueMax: 1000 })]);
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const flood = requesterNamed("flood");
  const modest = requesterNamed("modest");
  for (let id = 1; id <= 500; id++) rig.request(flood, "images/resize", { id });
  for (let id = 1; id <= 5; id++) rig.request(modest, "images/resize", { id });
  for (let served = 0; served < 12; served++) rig.reply("pi-1", agent.sink.of(Op.request)[served].id);
  assert.deepEqual(modest.sink.frames.map((frame) => frame.id), [1, 2, 3, 4, 5]);
  assert.equal(flood.sink.frames.length, 7);
  rig.dispatcher.close();
});

Deno.test("`close()` answers everything in flight and leaves no timer", () => {
  const rig = new Rig(images());
  rig.connect("pi-1", [reportOf("images", ["resize"], { slots: 1 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2 });
  rig.dispatcher.close();
  assert.deepEqual(
    client.sink.frames.map((frame) => [frame.id, errorOf(frame).code, errorOf(frame).details.mayHaveRun]),
    [
      [1, "manager_lost", "maybe"],
      [2, "manager_lost", "no"],
    ],
  );
  assert.equal(rig.clock.pendingTimers, 0);
});

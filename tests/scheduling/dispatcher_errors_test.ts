/** Every code of the table that arises between admission and agent, each provoked. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { CancelReason, encodeFrame } from "../../lib/protocol/frame.ts";
import {
  errorOf,
  Flag,
  Op,
  type ReceivedError,
  reportOf,
  requesterNamed,
  revisionOf,
  Rig,
  type TestRequester,
} from "./rig.ts";

/** The only frame the requester has got, as an error. */
function onlyError(requester: TestRequester): ReceivedError {
  assert.equal(requester.sink.frames.length, 1);
  assert.equal(requester.sink.frames[0].op, Op.error);
  return errorOf(requester.sink.frames[0]);
}

function oneReplica(slots = 1, queueMax = 10) {
  const rig = new Rig([revisionOf("images", { queueMax })]);
  const agent = rig.connect("pi-1", [reportOf("images", ["resize"], { slots })]);
  return { rig, agent, client: requesterNamed("c1") };
}

Deno.test("forbidden: said before anything about which endpoints exist", () => {
  const { rig } = oneReplica();
  const client = requesterNamed("c1", (endpoint) => endpoint === "text/count");
  rig.request(client, "images/resize");
  rig.request(client, "no/such", { id: 2 });
  assert.deepEqual(client.sink.frames.map((frame) => errorOf(frame).code), ["forbidden", "forbidden"]);
  assert.match(errorOf(client.sink.frames[0]).message, /user-c1 may not invoke images\/resize/);
  rig.dispatcher.close();
});

Deno.test("not_found: names near misses, and isn't counted under a made-up name", () => {
  const { rig, client } = oneReplica();
  rig.request(client, "images/resise");
  const error = onlyError(client);
  assert.equal(error.code, "not_found");
  assert.match(error.message, /did you mean images\/resize/);
  assert.deepEqual(error.details.nearMisses, ["images/resize"]);
  assert.equal(rig.outcomes[0].endpoint, "");
  rig.dispatcher.close();
});

Deno.test("not_found: for what waits when its replicaSet is deleted", () => {
  const rig = new Rig([revisionOf("images")]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize");
  rig.sets = [];
  rig.reroute();
  assert.equal(onlyError(client).code, "not_found");
  assert.equal(rig.dispatcher.snapshot().sets.size, 0);
  rig.dispatcher.close();
});

Deno.test("not_found: for what comes back unrun, or is lost, after its endpoint is gone", () => {
  const { rig, agent, client } = oneReplica(2);
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2, flags: Flag.idempotent });
  rig.sets = [];
  rig.reroute();
  assert.equal(client.sink.frames.length, 0, "what runs may end");
  rig.error("pi-1", agent.sink.frames[0].id, "no_ready_replica", { mayHaveRun: "no" });
  rig.dispatcher.agentGone("pi-1", "its connection closed");
  assert.deepEqual(
    client.sink.frames.map((frame) => [frame.id, errorOf(frame).code, errorOf(frame).details.mayHaveRun]),
    [[1, "not_found", "no"], [2, "not_found", "maybe"]],
  );
  rig.dispatcher.close();
});

Deno.test("queue_full: says when to come again, and what is queued stays", () => {
  const { rig, client } = oneReplica(1, 2);
  for (let id = 1; id <= 4; id++) rig.request(client, "images/resize", { id });
  const error = onlyError(client);
  assert.equal(client.sink.frames[0].id, 4);
  assert.equal(error.code, "queue_full");
  const retryAfterMs = error.details.retryAfterMs as number;
  assert.ok(retryAfterMs >= limits.retryAfterMsMin && retryAfterMs <= limits.retryAfterMsMax);
  assert.equal(rig.dispatcher.snapshot().queued, 2);
  assert.equal(rig.outcomes[0].endpoint, "images/resize");
  rig.dispatcher.close();
});

Deno.test("queue_full: a connection with too many in flight is refused, others aren't", () => {
  const rig = new Rig([revisionOf("images", { queueMax: limits.requestsPerConnectionMax + 10 })]);
  const client = requesterNamed("c1");
  for (let id = 1; id <= limits.requestsPerConnectionMax + 1; id++) {
    rig.request(client, "images/resize", { id });
  }
  assert.equal(onlyError(client).code, "queue_full");
  const other = requesterNamed("c2");
  rig.request(other, "images/resize");
  assert.equal(other.sink.frames.length, 0);
  rig.dispatcher.close();
});

Deno.test("a queue of length 0 still runs what finds a free slot", () => {
  const { rig, agent, client } = oneReplica(1, 0);
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2 });
  assert.equal(agent.sink.of(Op.request).length, 1);
  assert.equal(onlyError(client).code, "queue_full");
  rig.dispatcher.close();
});

Deno.test("no_ready_replica: nothing was ready during its whole wait", () => {
  const rig = new Rig([revisionOf("images", { timeoutMs: 250 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize");
  rig.clock.advance(249);
  assert.equal(client.sink.frames.length, 0);
  rig.clock.advance(1);
  const error = onlyError(client);
  assert.equal(error.code, "no_ready_replica");
  assert.equal(rig.outcomes[0].totalMs, 250);
  assert.equal(rig.dispatcher.snapshot().queued, 0);
  rig.dispatcher.close();
});

Deno.test("no_ready_replica: at once where somebody wants no replica, also for what waits, until that changes", () => {
  const rig = new Rig([revisionOf("images", { timeoutMs: 250 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/resize", { id: 1 });
  rig.closed.set("images", "images is scaled to 0 replicas; `client scale images 1` changes that");
  rig.reroute();
  rig.request(client, "images/resize", { id: 2 });
  const errors = client.sink.of(Op.error).map(({ id, meta }) => ({ id, ...JSON.parse(meta) }));
  assert.deepEqual(errors.map(({ id, code }) => [id, code]), [[1, "no_ready_replica"], [
    2,
    "no_ready_replica",
  ]]);
  for (const { message } of errors) {
    assert.match(message, /images is scaled to 0 replicas; `client scale images 1`/);
  }
  assert.equal(rig.dispatcher.snapshot().queued, 0);
  rig.closed.clear();
  rig.reroute();
  rig.request(client, "images/resize", { id: 3 });
  assert.equal(rig.dispatcher.snapshot().queued, 1, "it waits for the first replica again");
  rig.dispatcher.close();
});

Deno.test("no_ready_replica: what an agent gives back has nowhere to wait once nobody wants a replica", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1 });
  const [{ id }] = agent.sink.of(Op.request);
  rig.closed.set("images", "images is scaled to 0 replicas");
  rig.agents.get("pi-1")!.reports = [];
  rig.reroute();
  rig.error("pi-1", id, "no_ready_replica", { mayHaveRun: "no" });
  assert.equal(onlyError(client).code, "no_ready_replica");
  rig.dispatcher.close();
});

Deno.test("deadline_exceeded: waited while replicas were busy, certainly not run", () => {
  const { rig, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1, a: 60_000 });
  rig.request(client, "images/resize", { id: 2, a: 100 });
  rig.clock.advance(100);
  const error = onlyError(client);
  assert.equal(client.sink.frames[0].id, 2);
  assert.equal(error.code, "deadline_exceeded");
  assert.deepEqual(error.details, { mayHaveRun: "no", started: false });
  rig.dispatcher.close();
});

Deno.test("deadline_exceeded: a replica that was ready for a part of the wait makes the difference", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1, a: 60_000 });
  rig.request(client, "images/resize", { id: 2, a: 100 });
  rig.clock.advance(10);
  agent.health = "suspect";
  rig.reroute();
  rig.clock.advance(1);
  rig.request(client, "images/resize", { id: 3, a: 100 });
  rig.clock.advance(100);
  assert.deepEqual(
    client.sink.frames.map((frame) => [frame.id, errorOf(frame).code]),
    [[2, "deadline_exceeded"], [3, "no_ready_replica"]],
  );
  assert.match(
    errorOf(client.sink.frames[0]).message,
    /until its deadline.*; what was ready for it is gone$/,
  );
  rig.dispatcher.close();
});

Deno.test("deadline_exceeded: what runs is cancelled at its agent and keeps the slot until that confirms", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1, a: 50 });
  rig.clock.advance(50);
  const error = onlyError(client);
  assert.equal(error.code, "deadline_exceeded");
  assert.deepEqual(error.details, { mayHaveRun: "maybe", started: true });
  const runId = agent.sink.of(Op.request)[0].id;
  const cancels = agent.sink.of(Op.cancel);
  assert.deepEqual(cancels.map(({ id, a }) => [id, a]), [[runId, CancelReason.deadline]]);

  rig.request(client, "images/resize", { id: 2 });
  assert.equal(agent.sink.of(Op.request).length, 1);
  rig.error("pi-1", runId, "cancelled");
  assert.equal(agent.sink.of(Op.request).length, 2);
  assert.equal(client.sink.frames.length, 1, "the confirmation is not a second outcome");
  rig.dispatcher.close();
});

Deno.test("a cancel that is never confirmed gives its slot back after the grace, once", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1 });
  rig.dispatcher.cancel(client, 1);
  rig.request(client, "images/resize", { id: 2, a: 60_000 });
  rig.clock.advance(limits.cancelGraceMs - 1);
  assert.equal(agent.sink.of(Op.request).length, 1);
  rig.clock.advance(1);
  assert.equal(agent.sink.of(Op.request).length, 2);
  rig.reply("pi-1", agent.sink.of(Op.request)[0].id);
  assert.equal(rig.dispatcher.snapshot().outstanding, 1);
  rig.dispatcher.close();
});

Deno.test("deadlines: 0 asks for the endpoint's own, and none is longer than the cap", () => {
  const rig = new Rig([revisionOf("images", { timeoutMs: 5000 })]);
  const endpoints = [{ name: "slow", stream: false, timeoutMs: 9000 }, { name: "usual", stream: false }];
  const agent = rig.connect("pi-1", [reportOf("images", [], { endpoints, slots: 9 })]);
  const client = requesterNamed("c1");
  rig.request(client, "images/slow", { id: 1 });
  rig.request(client, "images/usual", { id: 2 });
  rig.request(client, "images/usual", { id: 3, a: 0xffff_ffff });
  assert.deepEqual(agent.sink.frames.map((frame) => frame.a), [9000, 5000, limits.timeoutMsMax]);
  rig.dispatcher.close();
});

Deno.test("cancelled: at once, and says whether it may have run", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2 });
  rig.dispatcher.cancel(client, 2);
  rig.dispatcher.cancel(client, 1);
  rig.dispatcher.cancel(client, 77);
  assert.deepEqual(
    client.sink.frames.map((frame) => [frame.id, errorOf(frame).code, errorOf(frame).details.mayHaveRun]),
    [[2, "cancelled", "no"], [1, "cancelled", "maybe"]],
  );
  assert.deepEqual(agent.sink.of(Op.cancel).map((frame) => frame.a), [CancelReason.caller]);
  rig.dispatcher.close();
});

Deno.test("a requester that is gone gets nothing; what it had queued is dropped, what ran is cancelled", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2 });
  rig.dispatcher.requesterGone(client);
  assert.equal(client.sink.frames.length, 0);
  assert.deepEqual(rig.outcomes.map(({ code }) => code), ["cancelled", "cancelled"]);
  assert.deepEqual(agent.sink.frames.map((frame) => frame.op), [Op.request, Op.cancel]);
  assert.equal(rig.dispatcher.snapshot().queued, 0);
  rig.reply("pi-1", agent.sink.frames[0].id);
  assert.equal(client.sink.frames.length, 0);
  assert.equal(rig.dispatcher.snapshot().outstanding, 0);
  rig.dispatcher.close();
});

Deno.test("invalid_request: an id that is in flight, or no name; the first with that id goes on", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 1 });
  assert.equal(onlyError(client).code, "invalid_request");
  rig.request(client, "", { id: 2 });
  assert.equal(errorOf(client.sink.frames[1]).code, "invalid_request");
  rig.reply("pi-1", agent.sink.frames[0].id);
  assert.equal(client.sink.of(Op.reply)[0].id, 1);
  rig.request(client, "images/resize", { id: 1 });
  assert.equal(agent.sink.of(Op.request).length, 2, "an id is free again after its outcome");
  rig.dispatcher.close();
});

Deno.test("too_large: names and headers over their limits, though the frame is well-formed", () => {
  const { rig, agent, client } = oneReplica();
  const metaBytes = limits.frameMetaBytesMax + 1;
  const whole = encodeFrame({
    op: Op.request,
    id: 1,
    name: "images/resize",
    body: new Uint8Array(metaBytes),
  });
  // The body's bytes become headers: the frame stays whole, its parts shift.
  new DataView(whole.buffer).setUint32(12, metaBytes);
  rig.dispatcher.admit(client, whole, 0, whole.length);
  const error = onlyError(client);
  assert.equal(error.code, "too_large");
  assert.match(error.message, /^Headers take at most 32768 bytes, this request has 32769$/);
  const named = encodeFrame({ op: Op.request, id: 2, body: new Uint8Array(300).fill(97) });
  new DataView(named.buffer).setUint16(6, 300);
  rig.dispatcher.admit(client, named, 0, named.length);
  assert.equal(errorOf(client.sink.frames[1]).code, "too_large");
  assert.equal(agent.sink.frames.length, 0);
  rig.dispatcher.close();
});

Deno.test("agent_lost: an idempotent request whose replacement never comes says that it may have run", () => {
  const { rig, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1, a: 400, flags: Flag.idempotent });
  rig.clock.advance(100);
  rig.disconnect("pi-1");
  assert.equal(client.sink.frames.length, 0);
  rig.clock.advance(300);
  const error = onlyError(client);
  assert.equal(error.code, "agent_lost");
  assert.equal(error.details.mayHaveRun, "maybe");
  rig.dispatcher.close();
});

Deno.test("agent_lost: an agent that lost its runner may have the idempotent ones run again", () => {
  const { rig, agent, client } = oneReplica();
  rig.request(client, "images/resize", { id: 1, flags: Flag.idempotent });
  rig.error("pi-1", agent.sink.frames[0].id, "agent_lost");
  assert.equal(client.sink.frames.length, 0);
  assert.equal(agent.sink.of(Op.request)[1].b & 255, 2);
  rig.request(client, "images/resize", { id: 2 });
  rig.reply("pi-1", agent.sink.of(Op.request)[1].id);
  rig.error("pi-1", agent.sink.of(Op.request)[2].id, "agent_lost");
  assert.equal(errorOf(client.sink.of(Op.error)[0]).code, "agent_lost");
  rig.dispatcher.close();
});

Deno.test("an agent's errors are passed on as they are, and counted by their code", () => {
  const { rig, agent, client } = oneReplica(3);
  rig.request(client, "images/resize", { id: 1 });
  rig.request(client, "images/resize", { id: 2 });
  rig.error("pi-1", agent.sink.frames[0].id, "module_failed", { stack: "at resize.ts:3:1" });
  rig.answer("pi-1", { op: Op.error, id: agent.sink.frames[1].id, meta: "not JSON" });
  const [failed] = client.sink.frames;
  assert.equal(failed.id, 1);
  assert.deepEqual(errorOf(failed), {
    code: "module_failed",
    message: "agent says module_failed",
    details: { stack: "at resize.ts:3:1" },
  });
  assert.deepEqual(rig.outcomes.map(({ code }) => code), ["module_failed", "internal"]);
  rig.dispatcher.close();
});

import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { Op } from "../../lib/protocol/frame.ts";
import { settle } from "../manager/rig.ts";
import { openSessionRig, welcome } from "./rig.ts";

Deno.test("nothing but hello is said before the welcome", async () => {
  const { clock, manager, session } = openSessionRig();
  session.sendState();
  clock.advance(2 * limits.telemetryMs);
  await settle();
  assert.deepEqual(manager.types(), ["hello"]);
  session.leave("done");
  await session.ended;
});

Deno.test("desired state is applied and answered by the state of all replicas", async () => {
  const { hosting, manager, session, welcomes } = openSessionRig();
  manager.send(welcome, { type: "desired", generation: 7, replicas: [] });
  await settle();
  assert.equal(welcomes.length, 1);
  assert.equal(hosting.applied.length, 1);
  assert.deepEqual(manager.messages.at(-1), { type: "state", generation: 7, replicas: [] });
  session.leave("done");
  await session.ended;
});

Deno.test("telemetry goes out every second with growing numbers, and log lines with it", async () => {
  const { clock, manager, session } = openSessionRig([
    { atMs: 1, replicaSet: "images", revision: 1, level: "info", text: "hello" },
  ]);
  manager.send(welcome);
  await settle();
  for (let second = 0; second < 3; second++) {
    clock.advance(limits.telemetryMs);
    manager.send({ type: "pong", sequence: second });
    await settle();
  }
  assert.deepEqual(manager.types(), ["hello", "telemetry", "logs", "telemetry", "telemetry"]);
  const sequences = manager.messages.flatMap((message) =>
    message.type === "telemetry" ? [message.sequence] : []
  );
  assert.deepEqual(sequences, [1, 2, 3]);
  session.leave("done");
  await session.ended;
});

Deno.test("a silent manager is given up: soon after the welcome, later before it", async () => {
  for (
    const [isWelcomed, boundMs] of [[true, limits.managerLostAfterMs], [
      false,
      limits.handshakeMsMax,
    ]] as const
  ) {
    const { clock, hosting, manager, session } = openSessionRig();
    if (isWelcomed) manager.send(welcome);
    await settle();
    clock.advance(boundMs);
    await settle();
    assert.equal(manager.close, null, `after ${boundMs} ms`);
    clock.advance(limits.telemetryMs);
    const ended = await session.ended;
    assert.equal(ended.code, "manager_lost");
    assert.match(ended.message, /silent for \d+ ms/);
    assert.ok(hosting.noted.includes("forget"), "its requests are given up");
    assert.equal(clock.pendingTimers, 0);
  }
});

Deno.test("a manager whose large message is still coming in is not given up", async () => {
  const { channel, clock, manager, session } = openSessionRig();
  manager.send(welcome);
  await settle();
  // What comes in is counted and not delivered, as with a message that is not whole yet.
  channel.pauseReading();
  for (let second = 0; second < 10; second++) {
    manager.sendFrame({ op: Op.reply, id: 1 });
    clock.advance(limits.telemetryMs);
  }
  assert.equal(channel.closed, false);
  clock.advance(2 * limits.managerLostAfterMs);
  assert.equal((await session.ended).code, "manager_lost");
});

Deno.test("requests, cancels and credits go to the hosting", async () => {
  const { hosting, manager, session } = openSessionRig();
  manager.send(welcome);
  manager.sendFrame({ op: Op.request, id: 5, name: "images/resize" });
  manager.sendFrame({ op: Op.credit, id: 5, a: 3 });
  manager.sendFrame({ op: Op.cancel, id: 5 });
  await settle();
  assert.deepEqual(hosting.requests.map(({ id, name }) => [id, name]), [[5, "images/resize"]]);
  assert.deepEqual(hosting.noted, ["credit 5 3", "cancel 5"]);
  session.leave("done");
  await session.ended;
});

Deno.test("a refusal is the reason in which the session ends", async () => {
  const { manager, session } = openSessionRig();
  manager.send({ type: "bye", code: "forbidden", message: "not you" });
  manager.channel.close(1008, "not you");
  const ended = await session.ended;
  assert.deepEqual([ended.code, ended.message], ["forbidden", "not you"]);
});

Deno.test("what no manager may send ends the connection, not the agent", async () => {
  const cases: ((rig: ReturnType<typeof openSessionRig>) => void)[] = [
    ({ manager }) => manager.channel.sendControl("{"),
    ({ manager }) => manager.channel.sendControl('{"type":"state"}'),
    ({ manager }) => manager.sendFrame({ op: Op.fetch, id: 1, name: "x" }),
    ({ manager }) => manager.channel.sendFrames(new Uint8Array(40)),
    (rig) => {
      // A defect of the agent's own: its modules go on all the same.
      rig.hosting.apply = () => {
        throw new TypeError("unforeseen");
      };
      rig.manager.send({ type: "desired", generation: 1, replicas: [] });
    },
  ];
  for (const [index, misbehave] of cases.entries()) {
    const rig = openSessionRig();
    rig.manager.send(welcome);
    misbehave(rig);
    const ended = await rig.session.ended;
    assert.equal(ended.code, index < 4 ? "invalid_request" : "internal");
    assert.equal(rig.clock.pendingTimers, 0);
  }
});

Deno.test("leaving says so first", async () => {
  const { manager, session } = openSessionRig();
  manager.send(welcome);
  await settle();
  session.sayGoodbye("stopped by SIGTERM");
  session.leave("stopped by SIGTERM");
  await session.ended;
  assert.deepEqual(manager.messages.at(-1), { type: "bye", code: "leaving", message: "stopped by SIGTERM" });
  assert.equal(manager.close!.code, 1001);
});

/** What the registry takes for a loss, and what becomes of an agent that is lost again and again. */
import assert from "node:assert/strict";
import { type AgentConnection, Agents, type DampingChange } from "../../lib/cluster/agents.ts";
import { limits } from "../../lib/limits.ts";
import type { AgentHello, Telemetry } from "../../lib/protocol/messages.ts";
import { ManualClock } from "../support/manual_clock.ts";

const telemetry: Telemetry = {
  type: "telemetry",
  sequence: 1,
  host: { cpu: 0.1, load1: 0, memoryUsedBytes: 0, memoryTotalBytes: 1 },
  agentCpuCores: 0,
  agentMemoryBytes: 0,
  replicas: [],
  endpoints: [],
};

/** One agent, `pi`, in the hands of a test. */
class Flapping {
  readonly clock = new ManualClock();
  readonly agents = new Agents(this.clock);
  readonly changes: DampingChange[] = [];
  connection!: AgentConnection;

  join(identity = "a"): void {
    this.connection = {
      remoteAddress: "10.0.0.1",
      sendControl() {},
      sendFrames() {},
      close() {},
      abandon() {},
    };
    const hello: AgentHello = {
      type: "hello",
      role: "agent",
      protocol: 1,
      version: "0.1.0",
      name: "pi",
      identity: identity.padEnd(16, "-"),
      labels: {},
      cores: 4,
      memoryBytes: 1,
      enroll: false,
      replicas: [],
    };
    this.agents.join(hello, this.connection);
  }

  /** The manager lives this long; the agent is heard, unless it is silent. */
  live(ms: number, isSilent = false): void {
    for (let passedMs = 0; passedMs < ms; passedMs += limits.livenessTickMs) {
      this.clock.advance(limits.livenessTickMs);
      if (!isSilent) this.agents.observeTelemetry("pi", this.connection, telemetry);
      this.agents.tick();
      this.changes.push(...this.agents.dampingChanges());
    }
  }

  /** Cut and back, `times` times, once a second. */
  flap(times: number): void {
    for (let time = 0; time < times; time++) {
      this.agents.disconnect("pi", this.connection);
      this.live(500);
      this.join();
      this.live(500);
    }
  }

  get damped(): boolean {
    return this.agents.get("pi")!.damped;
  }

  get penalty(): number {
    return Math.round(this.agents.damping("pi").penalty * 10) / 10;
  }
}

function started(): Flapping {
  const flapping = new Flapping();
  flapping.join();
  flapping.live(5000);
  return flapping;
}

Deno.test("an agent that is cut again and again is damped, told once, and used again a minute after the last cut", () => {
  const flapping = started();
  flapping.flap(3);
  assert.equal(flapping.damped, false);
  flapping.flap(3);
  assert.equal(flapping.damped, true);
  assert.equal(flapping.agents.get("pi")!.health, "ready", "it stays connected");
  assert.deepEqual(flapping.changes.map(({ agent, damped }) => [agent, damped]), [["pi", true]]);
  const { untilAtMs } = flapping.agents.damping("pi");
  assert.equal(untilAtMs, flapping.clock.nowMs() - 1000 + limits.dampedMsMax);
  flapping.live(limits.dampedMsMax - 1250);
  assert.equal(flapping.damped, true);
  flapping.live(250);
  assert.equal(flapping.damped, false);
  assert.deepEqual(flapping.changes.map(({ damped }) => damped), [true, false]);
  assert.equal(flapping.agents.damping("pi").untilAtMs, undefined);
});

Deno.test("a damped agent is damped from the first moment of its next connection", () => {
  const flapping = started();
  flapping.flap(5);
  flapping.agents.disconnect("pi", flapping.connection);
  flapping.join();
  assert.equal(flapping.damped, true);
});

Deno.test("a stalled agent counts once for each time it falls silent, and so does a connection that is replaced", () => {
  const flapping = started();
  flapping.live(4000, true);
  assert.equal(flapping.agents.get("pi")!.health, "lost");
  assert.equal(flapping.penalty, 1);
  const { connection } = flapping;
  flapping.join();
  flapping.agents.disconnect("pi", connection);
  assert.equal(flapping.penalty, 1, "the next connection, and the end of that one, are the same loss");
  flapping.live(1000);
  // The agent noticed it first.
  flapping.join();
  assert.equal(flapping.penalty, 2);
});

Deno.test("who says goodbye, is drained, or is cut once or twice is not damped", () => {
  const flapping = started();
  for (let time = 0; time < 10; time++) {
    flapping.agents.observeLeaving("pi", flapping.connection);
    flapping.agents.disconnect("pi", flapping.connection);
    flapping.live(500);
    flapping.join();
    flapping.live(500);
  }
  assert.equal(flapping.penalty, 0);
  flapping.agents.setFlags("pi", { cordoned: true, draining: true });
  flapping.flap(10);
  assert.equal(flapping.penalty, 0);
  flapping.agents.setFlags("pi", { cordoned: false, draining: false });
  flapping.flap(2);
  assert.equal(flapping.penalty, 2);
  assert.deepEqual(flapping.changes, []);
});

Deno.test("losses while, and right after, the manager itself stood still are nobody's", () => {
  const flapping = started();
  for (let time = 0; time < 6; time++) {
    flapping.clock.advance(5000);
    // Half of them are heard of before the next tick, half after it.
    if (time % 2 === 0) flapping.live(250, true);
    flapping.agents.disconnect("pi", flapping.connection);
    flapping.live(250);
    flapping.join();
    flapping.live(250);
  }
  assert.equal(flapping.penalty, 0);
  flapping.live(limits.managerLostAfterMs);
  flapping.flap(1);
  assert.equal(flapping.penalty, 1);
});

Deno.test("another machine under the same name begins anew, and that is told", () => {
  const flapping = started();
  flapping.flap(5);
  assert.equal(flapping.damped, true);
  flapping.agents.disconnect("pi", flapping.connection);
  flapping.join("b");
  assert.equal(flapping.damped, false);
  flapping.live(250);
  assert.deepEqual(flapping.changes.map(({ damped }) => damped), [true, false]);
});

Deno.test("an agent that stays away is damped no longer than one that is back", () => {
  const flapping = started();
  flapping.flap(5);
  flapping.agents.disconnect("pi", flapping.connection);
  flapping.live(limits.dampedMsMax, true);
  assert.equal(flapping.damped, false);
  flapping.join();
  assert.equal(flapping.damped, false);
  assert.deepEqual(flapping.changes.map(({ damped }) => damped), [true, false]);
});

import assert from "node:assert/strict";
import { type AgentConnection, Agents } from "../../lib/cluster/agents.ts";
import type { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import type { AgentHello, ReplicaReport, State, Telemetry } from "../../lib/protocol/messages.ts";
import { ManualClock } from "../support/manual_clock.ts";

function connectionFrom(remoteAddress: string): AgentConnection {
  return { remoteAddress, sendControl() {}, sendFrames() {}, close() {}, abandon() {} };
}

function helloOf(name: string, identity: string, replicas: ReplicaReport[] = []): AgentHello {
  return {
    type: "hello",
    role: "agent",
    protocol: 1,
    version: "0.1.0",
    name,
    identity: identity.padEnd(16, "-"),
    labels: { zone: "attic" },
    cores: 4,
    memoryBytes: 1,
    enroll: false,
    replicas,
  };
}

const report = (state: ReplicaReport["state"], revision = 1): ReplicaReport => ({
  handle: 1,
  replicaSet: "images",
  revision,
  state,
  slots: 4,
  endpoints: [],
});

const stateOf = (generation: number, ...replicas: ReplicaReport[]): State => ({
  type: "state",
  generation,
  replicas,
});

const telemetryOf = (cpu = 0.1): Telemetry => ({
  type: "telemetry",
  sequence: 1,
  host: { cpu, load1: 0, memoryUsedBytes: 0, memoryTotalBytes: 1 },
  agentCpuCores: 0,
  agentMemoryBytes: 0,
  replicas: [],
  endpoints: [],
});

function setUp() {
  const clock = new ManualClock();
  const agents = new Agents(clock);
  /** Time as the manager lives it: a tick every `livenessTickMs`. */
  function live(ms: number) {
    const changes = [];
    for (let passed = 0; passed < ms; passed += limits.livenessTickMs) {
      clock.advance(limits.livenessTickMs);
      changes.push(...agents.tick());
    }
    return changes;
  }
  return { clock, agents, live };
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (thrown) {
    return (thrown as SqwishError).code;
  }
  return "none";
}

Deno.test("an agent joins, falls silent, becomes suspect, then lost, and is ready again by its telemetry", () => {
  const { agents, live } = setUp();
  const connection = connectionFrom("10.0.0.1");
  assert.equal(agents.join(helloOf("pi-1", "a"), connection).kind, "new");
  assert.deepEqual(live(1750), []);
  assert.deepEqual(live(250).map(({ from, to }) => [from, to]), [["ready", "suspect"]]);
  assert.deepEqual(live(1000).map(({ from, to }) => [from, to]), [["suspect", "lost"]]);
  assert.equal(agents.get("pi-1")!.lostSinceMs, 3000);
  const change = agents.observeTelemetry("pi-1", connection, telemetryOf());
  assert.deepEqual([change?.from, change?.to], ["lost", "ready"]);
  assert.equal(agents.get("pi-1")!.lostSinceMs, undefined);
});

Deno.test("telemetry every second keeps an agent ready without any change", () => {
  const { agents, live } = setUp();
  const connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a"), connection);
  for (let second = 0; second < 10; second++) {
    assert.deepEqual(live(1000), []);
    assert.equal(agents.observeTelemetry("pi-1", connection, telemetryOf(0.99)), null);
  }
  assert.match(agents.get("pi-1")!.healthReason, /busy/);
});

Deno.test("time in which the manager itself was stalled is no agent's fault", () => {
  const { clock, agents, live } = setUp();
  const connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a"), connection);
  live(1000);
  clock.advance(60_000);
  assert.deepEqual(agents.tick(), []);
  assert.deepEqual(live(500), []);
  assert.deepEqual(live(2000).map(({ to }) => to), ["suspect", "lost"]);
});

Deno.test("who was heard after the manager's pause isn't credited with it", () => {
  const { clock, agents, live } = setUp();
  const connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a"), connection);
  clock.advance(60_000);
  agents.observeTelemetry("pi-1", connection, telemetryOf());
  assert.deepEqual(agents.tick(), []);
  assert.deepEqual(live(3000).map(({ to }) => to), ["suspect", "lost"]);
});

Deno.test("a closed connection is lost at once, and its reports stay known", () => {
  const { clock, agents } = setUp();
  const connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a", [report("ready")]), connection);
  clock.advance(100);
  assert.equal(agents.disconnect("pi-1", connection)?.to, "lost");
  assert.equal(agents.disconnect("pi-1", connection), null);
  assert.equal(agents.get("pi-1")!.reports.length, 1);
  clock.advance(250);
  assert.deepEqual(agents.tick(), []);
  assert.match(agents.get("pi-1")!.healthReason, /dead/);
});

Deno.test("another agent of the same name is refused while the first is well, and told what to do", () => {
  const { agents, live } = setUp();
  agents.join(helloOf("pi-1", "a"), connectionFrom("10.0.0.1"));
  assert.throws(
    () => agents.join(helloOf("pi-1", "b"), connectionFrom("10.0.0.2")),
    {
      code: "conflict",
      message: "An agent named pi-1 is already connected from 10.0.0.1; choose another name with --name",
    },
  );
  live(3000);
  assert.equal(
    agents.join(helloOf("pi-1", "b"), connectionFrom("10.0.0.2")).replaced?.remoteAddress,
    "10.0.0.1",
  );
});

Deno.test("the same agent takes the place of its older connection, which is then ignored", () => {
  const { agents } = setUp();
  const older = connectionFrom("10.0.0.1");
  const newer = connectionFrom("10.0.0.9");
  agents.join(helloOf("pi-1", "a"), older);
  const joined = agents.join(helloOf("pi-1", "a"), newer);
  assert.deepEqual([joined.kind, joined.replaced], ["returned", older]);
  assert.equal(agents.disconnect("pi-1", older), null);
  assert.equal(agents.observeState("pi-1", older, stateOf(9, report("ready"))), false);
  assert.equal(agents.observeTelemetry("pi-1", older, telemetryOf()), null);
  assert.equal(agents.get("pi-1")!.telemetry, undefined);
  assert.equal(agents.get("pi-1")!.health, "ready");
});

Deno.test("a report of an older generation is ignored", () => {
  const { agents } = setUp();
  const connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a"), connection);
  assert.equal(agents.observeState("pi-1", connection, stateOf(5, report("ready"))), true);
  assert.equal(agents.observeState("pi-1", connection, stateOf(4)), false);
  assert.equal(agents.get("pi-1")!.reports.length, 1);
  assert.equal(agents.observeState("pi-1", connection, stateOf(5)), true);
});

Deno.test("`readySinceMs` counts from the first ready report without a break, across a return", () => {
  const { clock, agents } = setUp();
  let connection = connectionFrom("10.0.0.1");
  const readySince = () => agents.get("pi-1")!.reports[0].readySinceMs;
  agents.join(helloOf("pi-1", "a", [report("loading")]), connection);
  assert.equal(readySince(), undefined);
  clock.advance(100);
  agents.observeState("pi-1", connection, stateOf(1, report("ready")));
  clock.advance(100);
  agents.observeState("pi-1", connection, stateOf(2, report("ready")));
  assert.equal(readySince(), 100);
  agents.disconnect("pi-1", connection);
  connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a", [report("ready")]), connection);
  assert.equal(readySince(), 100);
  agents.observeState("pi-1", connection, stateOf(3, report("loading")));
  clock.advance(50);
  agents.observeState("pi-1", connection, stateOf(4, report("ready")));
  assert.equal(readySince(), 250);
  agents.observeState("pi-1", connection, stateOf(5, report("ready", 2)));
  assert.equal(readySince(), 250, "another revision, ready for the first time just now");
});

Deno.test("an agent of the same name but another identity doesn't inherit readiness", () => {
  const { clock, agents } = setUp();
  const first = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-1", "a", [report("ready")]), first);
  agents.disconnect("pi-1", first);
  clock.advance(500);
  agents.join(helloOf("pi-1", "b", [report("ready")]), connectionFrom("10.0.0.2"));
  assert.equal(agents.get("pi-1")!.reports[0].readySinceMs, 500);
});

Deno.test("restored agents are lost from the start, keep their cordon, and return as known", () => {
  const { agents } = setUp();
  agents.restore([{
    name: "pi-1",
    identity: "a".padEnd(16, "-"),
    labels: {},
    cordoned: true,
    draining: false,
    joinedAtMs: 5,
    lastSeenAtMs: 9,
  }]);
  assert.equal(agents.get("pi-1")!.health, "lost");
  assert.equal(agents.get("pi-1")!.lostSinceMs, 0);
  const { kind, record } = agents.join(helloOf("pi-1", "a"), connectionFrom("10.0.0.1"));
  assert.deepEqual([kind, record.cordoned, record.joinedAtMs], ["returned", true, 5]);
});

Deno.test("the list follows each join, removal and restoring, in the order of names", () => {
  const { agents } = setUp();
  const names = () => agents.list().map(({ name }) => name);
  assert.deepEqual(names(), []);
  agents.join(helloOf("pi-2", "b"), connectionFrom("10.0.0.1"));
  assert.deepEqual(names(), ["pi-2"]);
  const known = {
    identity: "a",
    labels: {},
    cordoned: false,
    draining: false,
    joinedAtMs: 5,
    lastSeenAtMs: 6,
  };
  agents.restore([{ ...known, name: "pi-1" }]);
  assert.deepEqual(names(), ["pi-1", "pi-2"]);
  const connection = connectionFrom("10.0.0.3");
  agents.join(helloOf("pi-1", "a"), connection);
  assert.equal(agents.list()[0], agents.get("pi-1"));
  agents.disconnect("pi-1", connection);
  agents.forget("pi-1");
  assert.deepEqual(names(), ["pi-2"]);
});

Deno.test("cordon and removal name an unknown agent, and a connected one isn't removed", () => {
  const { agents } = setUp();
  const connection = connectionFrom("10.0.0.1");
  agents.join(helloOf("pi-2", "b"), connection);
  agents.join(helloOf("pi-1", "a"), connectionFrom("10.0.0.2"));
  assert.deepEqual(agents.list().map(({ name }) => name), ["pi-1", "pi-2"]);
  agents.setFlags("pi-2", { cordoned: true, draining: false });
  assert.equal(agents.get("pi-2")!.cordoned, true);
  assert.equal(codeOf(() => agents.setFlags("pi-9", { cordoned: true, draining: false })), "not_found");
  assert.equal(codeOf(() => agents.forget("pi-2")), "conflict");
  agents.disconnect("pi-2", connection);
  agents.forget("pi-2");
  assert.equal(agents.get("pi-2"), undefined);
});

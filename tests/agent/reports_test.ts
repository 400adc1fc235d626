/** What an agent says of its replicas is never more than its manager takes. */
import assert from "node:assert/strict";
import { fitReports } from "../../lib/agent/reports.ts";
import { limits } from "../../lib/limits.ts";
import {
  encodeMessage,
  type EndpointDescription,
  parseMessageToManager,
  type ReplicaReport,
  type State,
} from "../../lib/protocol/messages.ts";
import { agentHello, reportOf, settle } from "../manager/rig.ts";
import { openSessionRig, welcome } from "./rig.ts";

const stateOf = (replicas: ReplicaReport[]): State => ({ type: "state", generation: 3, replicas });

/** As the manager reads it. */
function read(message: Parameters<typeof fitReports>[0]): ReplicaReport[] {
  const text = encodeMessage(fitReports(message));
  assert.ok(new TextEncoder().encode(text).length <= limits.controlBytesMax, `${text.length} characters`);
  const parsed = parseMessageToManager(text);
  assert.ok(parsed.type === "state" || (parsed.type === "hello" && parsed.role === "agent"));
  return parsed.replicas;
}

function endpointsOf(bytes: number, letter = "d"): EndpointDescription[] {
  return Array.from({ length: Math.ceil(bytes / 4000) }, (_, index) => ({
    name: `f${index}`,
    description: letter.repeat(4000),
    stream: false,
  }));
}

Deno.test("`fitReports()` changes nothing that the manager takes", () => {
  const reports = [reportOf(), reportOf({ handle: 2, state: "failed", reason: "no disk", endpoints: [] })];
  assert.deepEqual(fitReports(stateOf(reports)), stateOf(reports));
  assert.deepEqual(fitReports(agentHello({ replicas: reports })), agentHello({ replicas: reports }));
});

Deno.test("`fitReports()` tells a replica as failed that the manager's schema refuses, and only that", () => {
  const strange: EndpointDescription[][] = [
    [{ name: "f".repeat(limits.endpointNameCharactersMax + 1), stream: false }],
    [{ name: "f", stream: false, input: "a date" as unknown as Record<string, unknown> }],
    undefined as unknown as EndpointDescription[],
  ];
  for (const endpoints of strange) {
    const [one, other] = read(agentHello({ replicas: [reportOf({ endpoints }), reportOf({ handle: 2 })] }));
    assert.deepEqual([one.handle, one.state, one.endpoints], [1, "failed", []]);
    assert.match(one.reason ?? "", /^Its functions can't be told to the manager: .*endpoints/);
    assert.deepEqual(other, reportOf({ handle: 2 }));
  }
});

Deno.test("`fitReports()` drops the largest until the message fits, in bytes and not in characters", () => {
  const MiB = 1024 * 1024;
  const sizes = [0.5, 1.5, 1, 1.2, 0.7];
  for (const letter of ["d", "é"]) {
    const bytesEach = letter === "é" ? 2 : 1;
    const replicas = sizes.map((size, index) =>
      reportOf({ handle: index + 1, endpoints: endpointsOf(size * MiB / bytesEach, letter) })
    );
    const told = read(stateOf(replicas));
    assert.deepEqual(told.map(({ state }) => state), ["ready", "failed", "ready", "ready", "ready"]);
    assert.match(told[1].reason ?? "", /more than the 4194304 bytes of a control message, of this one \d+/);
    assert.deepEqual(told[0], replicas[0]);
  }
});

Deno.test("`fitReports()` leaves the start of a failed replica's own reason, and lets what stops go on stopping", () => {
  const replicas = Array.from({ length: 400 }, (_, index) =>
    reportOf({
      handle: index + 1,
      state: index === 0 ? "stopping" : "failed",
      reason: `no disk ${"ü".repeat(4000)}`,
      endpoints: endpointsOf(index === 0 ? 3_000_000 : 4000),
    }));
  const told = read(stateOf(replicas));
  assert.equal(told.length, 400);
  assert.equal(told[0].state, "stopping");
  assert.ok(told.every(({ state }, index) => index === 0 || state === "failed"));
  assert.match(
    told.find(({ endpoints }, index) => index > 0 && endpoints.length === 0)!.reason!,
    /^no disk ü/,
  );
});

Deno.test("an agent whose replica reports what no manager takes stays connected, and says so in words", async () => {
  const { hosting, manager, session, channel } = openSessionRig();
  const long = reportOf({ endpoints: [{ name: "f".repeat(200), stream: false }] });
  hosting.reports = () => [long, reportOf({ handle: 2 })];
  manager.send(welcome, { type: "desired", generation: 7, replicas: [] });
  await settle();
  // The manager's end has read it by the manager's own schema.
  const last = manager.messages.at(-1)!;
  assert.ok(last.type === "state");
  assert.deepEqual(last.replicas.map(({ state }) => state), ["failed", "ready"]);
  assert.equal(channel.closed, false);
  session.leave("done");
  await session.ended;
});

/** Who says when that the memory of a large request, and of its reply, is needed no more. */
import assert from "node:assert/strict";
import { encodeFrame } from "../../lib/protocol/frame.ts";
import { Flag, Op, reportOf, requesterNamed, revisionOf, Rig } from "./rig.ts";

/** Agents and one client that has sent a large idempotent request, and what was given back so far. */
function asked(agentCount: number) {
  const freed: string[] = [];
  const freeWhenWritten = (bytes: Uint8Array) => void freed.push(bytes === request ? "request" : "reply");
  const rig = new Rig([revisionOf("images")]);
  const agents = Array.from(
    { length: agentCount },
    (_, index) => rig.connect(`pi-${index}`, [reportOf("images", ["resize"])]),
  );
  const client = requesterNamed("c1");
  for (const { sink } of [...agents, client]) Object.assign(sink, { freeWhenWritten });
  const body = new Uint8Array(100_000);
  const request = encodeFrame({ op: Op.request, id: 1, flags: Flag.idempotent, name: "images/resize", body });
  rig.dispatcher.admit(client, request, 0, request.length);
  const runner = () =>
    agents.find(({ health, sink }) => health === "ready" && sink.of(Op.request).length > 0)!;
  const reply = () => {
    const { name, sink } = runner();
    const frame = encodeFrame({ op: Op.reply, id: sink.frames[0].id, body });
    rig.dispatcher.answer(name, frame, 0, frame.length);
  };
  return { rig, freed, runner, reply };
}

Deno.test("a reply gives the memory of a large request back, and that of its own once it is written", () => {
  const { rig, freed, reply } = asked(1);
  assert.deepEqual(freed, []);
  reply();
  assert.deepEqual(freed, ["reply", "request"]);
  rig.dispatcher.close();
});

Deno.test("a request that an agent was lost with is not given back: that one's connection may still be writing it", () => {
  const { rig, freed, runner, reply } = asked(2);
  rig.disconnect(runner().name);
  reply();
  assert.deepEqual(freed, ["reply"]);
  rig.dispatcher.close();
});

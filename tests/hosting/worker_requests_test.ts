import assert from "node:assert/strict";
import { turnMsMax } from "../../lib/hosting/worker_requests.ts";
import { limits } from "../../lib/limits.ts";
import { encodeFrame, Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import { settle } from "../manager/rig.ts";
import { request, worker } from "./worker.ts";

const idsOf = (answers: Frame[]) => answers.map(({ id }) => id);

Deno.test("requests before the modules have loaded are held, unclaimed, and run in order after that", async () => {
  const { send, answers, requests, claims, loaded } = await worker(() => ({ one: () => 1 }));
  assert.equal(send(request(1, "one"), request(2, "one")), false, "their bytes are still needed");
  send(encodeFrame({ op: Op.cancel, id: 2 }), request(3, "one"));
  assert.equal(claims[0], 0);
  requests.serve(loaded);
  assert.equal(claims[0], 3);
  assert.deepEqual(idsOf(answers), [1, 2, 3]);
  assert.deepEqual(answers.map(({ op }) => op), [Op.reply, Op.error, Op.reply]);
  assert.equal(send(request(4, "one")), true);
});

Deno.test("requests that overtake a large one on the way wait for it, and can be cancelled meanwhile", async () => {
  const { send, answers, requests, claims, loaded } = await worker(() => ({ one: () => 1 }));
  requests.serve(loaded);
  assert.equal(send(request(3, "one"), request(2, "one")), true, "what waits is a copy");
  send(encodeFrame({ op: Op.cancel, id: 3 }));
  assert.deepEqual([claims[0], answers.length], [0, 0]);
  send(request(1, "one"), request(4, "one"));
  assert.deepEqual(idsOf(answers), [1, 2, 3, 4]);
  assert.deepEqual(answers.map(({ op }) => op), [Op.reply, Op.reply, Op.error, Op.reply]);
  assert.equal(claims[0], 4);
});

Deno.test("a batch that takes long gives the event loop its turn; what comes meanwhile waits behind it", async () => {
  const { send, answers, requests, clock, loaded } = await worker((spend) => ({
    slow: () => spend(turnMsMax / 2 + 1),
  }));
  requests.serve(loaded);
  send(...[1, 2, 3, 4, 5].map((id) => request(id, "slow")));
  assert.deepEqual(idsOf(answers), [1, 2]);
  send(request(6, "slow"));
  assert.deepEqual(idsOf(answers), [1, 2]);
  clock.advance(0);
  assert.deepEqual(idsOf(answers), [1, 2, 3, 4, 5, 6].slice(0, answers.length));
  clock.advance(0);
  assert.deepEqual(idsOf(answers), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(answers.map(({ a }) => a), answers.map(() => (turnMsMax / 2 + 1) * 1000));
});

Deno.test("nothing starts while the agent does not read, and streams stop", async () => {
  const { send, answers, sink, claims, requests, loaded } = await worker(() => ({
    one: () => 1,
    *count() {
      for (let part = 0; part < 3; part++) yield part;
    },
  }));
  requests.serve(loaded);
  sink.bufferedBytes = limits.sendBufferBytesHigh;
  send(request(1, "count", Flag.stream));
  await settle();
  assert.equal(answers.length, 4, "up to the mark it goes on");
  send(request(2, "count", Flag.stream));
  sink.bufferedBytes = limits.sendBufferBytesHigh + 1;
  send(request(3, "one"));
  await settle();
  assert.equal(claims[0], 2);
  assert.deepEqual(idsOf(answers).slice(4), [2], "the part that had been asked for");
  sink.bufferedBytes = 0;
  requests.onDrain();
  await settle();
  assert.deepEqual(idsOf(answers).slice(5).toSorted(), [2, 2, 2, 3]);
});

Deno.test("lines carry the id of the request that prints them, also later, and those of nobody carry none", async () => {
  const { send, lines, log, requests, loaded } = await worker(() => {
    const print = (text: string) => log.write("info", [text]);
    const later = (text: string) => Promise.resolve().then(() => print(text));
    return {
      now: () => print("now"),
      asynchronous: async () => {
        print("begins");
        await later("goes on");
      },
      promised: () => later("promised"),
      left: () => void later("left behind"),
      json: () => ({ toJSON: () => print("encoded") }),
    };
  });
  requests.serve(loaded);
  const names = ["promised", "now", "asynchronous", "left", "promised", "json", "now"];
  send(...names.map((name, i) => request(i + 1, name)));
  await settle();
  const number = (requestId?: string) => requestId === undefined ? null : Number(`0x${requestId}`);
  assert.deepEqual(lines.map(([text, requestId]) => [text, number(requestId)]), [
    ["now", 2],
    ["begins", 3],
    ["encoded", 6],
    ["now", 7],
    ["promised", 1],
    ["goes on", 3],
    ["left behind", null],
    ["promised", 5],
  ]);
});

Deno.test("a large input is the module's own, and the memory of its frame is given back", async () => {
  const inputs: Uint8Array[] = [];
  const { answers, requests, loaded } = await worker(() => ({
    keep: (input: Uint8Array) => inputs.push(input),
  }));
  requests.serve(loaded);
  const body = new Uint8Array(100_000).fill(7);
  const frame = encodeFrame({ op: Op.request, id: 1, flags: Flag.bytes, a: 10_000, name: "set/keep", body });
  assert.equal(requests.onFrames(frame, 0, frame.length), true);
  assert.deepEqual(idsOf(answers), [1]);
  assert.deepEqual(inputs, [body]);
  assert.equal(frame.length, 0);
});

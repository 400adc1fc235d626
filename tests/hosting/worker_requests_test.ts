import assert from "node:assert/strict";
import { BodyPool } from "../../lib/hosting/body_pool.ts";
import { createClaims } from "../../lib/hosting/claims.ts";
import { AnswerWriter } from "../../lib/hosting/answer_writer.ts";
import type { InvocationHost } from "../../lib/hosting/invocation.ts";
import { type LoadedModules, loadModules } from "../../lib/hosting/module_loader.ts";
import { createModuleLog } from "../../lib/hosting/module_log.ts";
import { OutgoingCalls } from "../../lib/hosting/outgoing_calls.ts";
import { createUserErrorReader } from "../../lib/hosting/user_error.ts";
import { turnMsMax, WorkerRequests } from "../../lib/hosting/worker_requests.ts";
import { limits } from "../../lib/limits.ts";
import { concatBytes, decodeFrame, encodeFrame, Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import { specificationOf } from "../support/hosted.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { settle } from "../manager/rig.ts";

/** The Worker's side of a runner without its Worker: `makeExports` gives what the module exports. */
async function worker(makeExports: (spend: (ms: number) => void) => Record<string, unknown>) {
  const clock = new ManualClock();
  let spentMs = 0;
  const lines: [string, string | undefined][] = [];
  const answers: Frame[] = [];
  const sink = {
    bufferedBytes: 0,
    heldBytes: 0,
    sendFrames: (bytes: Uint8Array, at = 0, end = bytes.length) =>
      void answers.push(decodeFrame(bytes.slice(at, end))),
  };
  const log = createModuleLog(clock, (_level, text, requestId) => lines.push([text, requestId]));
  const calls = new OutgoingCalls((frame) => sink.sendFrames(frame));
  const host: InvocationHost = {
    clock: {
      nowMs: () => clock.nowMs(),
      monotonicMs: () => clock.monotonicMs() + spentMs,
      after: (delayMs, action) => clock.after(delayMs, action),
      every: (periodMs, action) => clock.every(periodMs, action),
    },
    env: {},
    log,
    errors: createUserErrorReader("file:///none/", []),
    sink,
    writer: new AnswerWriter(sink),
    bodies: new BodyPool(),
    invoke: (caller, endpoint, input, options) => calls.invoke(caller, endpoint, input, options),
  };
  const claims = createClaims();
  const requests = new WorkerRequests(host, claims, calls);
  const { modules } = specificationOf({ "m.js": "" }).specification;
  const loaded: LoadedModules = await loadModules(
    modules,
    () => Promise.resolve(makeExports((ms) => spentMs += ms)),
  );
  function send(...frames: Uint8Array[]): boolean {
    const bytes = concatBytes(frames);
    return requests.onFrames(bytes, 0, bytes.length);
  }
  return { clock, lines, answers, sink, log, claims, requests, loaded, send };
}

function request(id: number, endpoint: string, flags = 0, input?: unknown): Uint8Array {
  const requestId = id.toString(16).padStart(16, "0");
  const body = input === undefined ? undefined : new TextEncoder().encode(JSON.stringify(input));
  return encodeFrame({
    op: Op.request,
    id,
    flags,
    a: 10_000,
    b: 1,
    requestId,
    name: `set/${endpoint}`,
    body,
  });
}

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

Deno.test("input that fits no schema is refused in few words, however much of it there is to quote", async () => {
  const { send, answers, requests, loaded } = await worker(() => ({
    strict: () => 1,
    endpoints: {
      strict: {
        input: { type: "object", properties: { a: { type: "string" } }, additionalProperties: false },
      },
    },
  }));
  requests.serve(loaded);
  for (const [i, key] of ["k".repeat(40_000), "\u0001".repeat(40_000), "k"].entries()) {
    send(request(i + 1, "strict", 0, { [key]: 1 }));
    const { op, meta } = answers[i];
    assert.equal(op, Op.error);
    const { code, message, details } = JSON.parse(meta);
    assert.deepEqual([code, details.mayHaveRun], ["invalid_request", "no"]);
    assert.match(message, /^The input of set\/strict doesn't fit its schema at /);
    assert.ok(message.length < 1000 && details.path.length < 300);
  }
  send(request(4, "strict", 0, { a: "b" }));
  assert.equal(answers[3].op, Op.reply);
});

Deno.test("whatever a function throws, at once or later, its request is answered and the next one runs", async () => {
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const cyclic = new Error("cyclic");
  cyclic.cause = cyclic;
  const oddities: unknown[] = [
    Object.assign(new Error("x"), { message: { code: 42 } }),
    Object.assign(new Error("x"), { name: { toJSON: () => JSON.parse("no") } }),
    Object.assign(new Error("x"), { name: "N".repeat(100_000) }),
    new Error("\u0000".repeat(100_000)),
    cyclic,
    revoked.proxy,
    null,
  ];
  const { send, answers, requests, loaded } = await worker(() => ({
    now(index: number) {
      throw oddities[index];
    },
    async later(index: number) {
      await undefined;
      throw oddities[index];
    },
    json: (index: number) => ({
      toJSON() {
        throw oddities[index];
      },
    }),
    one: () => 1,
  }));
  requests.serve(loaded);
  let id = 0;
  for (const endpoint of ["now", "later", "json"]) {
    for (let index = 0; index < oddities.length; index++) {
      send(request(++id, endpoint, 0, index));
      await settle();
      assert.deepEqual([answers.length, answers.at(-1)!.op], [id, Op.error], `${endpoint} ${index}`);
      assert.equal(JSON.parse(answers.at(-1)!.meta).code, "module_failed");
    }
  }
  send(request(++id, "one"));
  assert.equal(answers.at(-1)!.op, Op.reply);
});

Deno.test("a generator whose part can't be sent runs its finally, and its request is told why", async () => {
  let open = 0;
  const bad: Record<string, unknown> = {
    bigint: 10n,
    large: new Uint8Array(limits.bodyBytesMax + 1),
    circular: Object.defineProperty({}, "toJSON", { value: () => JSON.parse("no") }),
  };
  const { send, answers, lines, log, requests, loaded } = await worker(() => ({
    async *later(kind: string) {
      open++;
      try {
        yield 1;
        yield bad[kind];
        yield 3;
      } finally {
        log.write("info", ["closed"]);
        open--;
      }
    },
    *now(kind: string) {
      open++;
      try {
        yield bad[kind];
      } finally {
        open--;
        throw new Error("of no interest");
      }
    },
  }));
  requests.serve(loaded);
  let id = 0;
  for (const endpoint of ["later", "now"]) {
    for (const flags of [Flag.stream, 0]) {
      for (const kind of Object.keys(bad)) {
        // Its length is what makes it too large to be gathered.
        if (kind === "large" && flags === 0) continue;
        send(request(++id, endpoint, flags, kind));
        await settle();
        assert.deepEqual([answers.at(-1)!.id, answers.at(-1)!.op], [id, Op.error]);
        const { code, message } = JSON.parse(answers.at(-1)!.meta);
        assert.equal(code, kind === "large" ? "too_large" : "module_failed");
        assert.doesNotMatch(message, /of no interest/);
        assert.equal(open, 0, `${endpoint} ${kind}`);
      }
    }
  }
  assert.deepEqual(lines[0], ["closed", "1".padStart(16, "0")]);
});

Deno.test("whatever has a then() is awaited, whether the function is asynchronous or not", async () => {
  class Query {
    secret = "connection string";
    constructor(readonly rows: unknown) {}
    then(resolve: (rows: unknown) => void, reject: (why: unknown) => void) {
      Promise.resolve(this.rows).then(resolve, reject);
    }
  }
  const { send, answers, requests, loaded } = await worker(() => ({
    plain: () => new Query([1, 2]),
    asynchronous: async () => await Promise.resolve(new Query([1, 2])),
    failing: () => new Query(Promise.reject(new Error("no table"))),
    value: () => ({ then: "next week" }),
  }));
  requests.serve(loaded);
  const told: unknown[] = [];
  for (const [i, endpoint] of ["plain", "asynchronous", "failing", "value", "plain"].entries()) {
    send(request(i + 1, endpoint));
    await settle();
    const { op, meta, body } = answers[i];
    told.push(JSON.parse(op === Op.error ? meta : new TextDecoder().decode(body)));
  }
  assert.deepEqual(told.map((one, i) => i === 2 ? (one as { message: string }).message : one), [
    [1, 2],
    [1, 2],
    "no table",
    { then: "next week" },
    [1, 2],
  ]);
});

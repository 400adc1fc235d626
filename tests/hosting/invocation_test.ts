import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { Flag, Op } from "../../lib/protocol/frame.ts";
import { settle } from "../manager/rig.ts";
import { request, worker } from "./worker.ts";

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
        JSON.parse("of no interest");
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
        assert.doesNotMatch(message, /interest/);
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

/** `POST /v1/invoke/…` against a dispatcher that only the test answers for. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { Hono } from "hono";
import { SqwishError } from "../../lib/errors.ts";
import type { ApiEnv } from "../../lib/manager/api/context.ts";
import { invokeOverHttp, type InvokePort } from "../../lib/manager/api/invoke.ts";
import { decodeFrame, encodeFrame, Flag, type Frame, type FrameParts, Op } from "../../lib/protocol/frame.ts";
import type { Requester } from "../../lib/scheduling/dispatcher.ts";
import { settle } from "./rig.ts";

/** Answers each request with the frames of `answers`; parts after the first wait for credit as they do in a runner. */
class AnsweringPort implements InvokePort {
  readonly admitted: Frame[] = [];
  cancels = 0;
  credits = 0;
  #requester: Requester | null = null;

  constructor(readonly answers: Omit<FrameParts, "id">[]) {}

  admit(requester: Requester, bytes: Uint8Array): void {
    this.admitted.push(decodeFrame(bytes));
    this.#requester = requester;
    for (const answer of this.answers) requester.sink.sendFrames(encodeFrame({ ...answer, id: 1 }));
  }

  cancel(): void {
    this.cancels++;
    const meta = JSON.stringify({ code: "cancelled", message: "cancelled", details: {} });
    this.#requester?.sink.sendFrames(encodeFrame({ op: Op.error, id: 1, meta }));
  }

  credit(_requester: Requester, parts: number): void {
    this.credits += parts;
  }

  monotonicMs(): number {
    return 0;
  }
}

async function post(port: InvokePort, init: RequestInit = {}): Promise<Response> {
  const app = new Hono<ApiEnv>();
  app.onError((thrown) => {
    if (!(thrown instanceof SqwishError)) throw thrown;
    return new Response(JSON.stringify(thrown), { status: thrown.http });
  });
  app.post("/:set/:function", (c) => {
    c.set("principal", { name: "ada", role: "client", endpoints: ["images/*"] });
    return invokeOverHttp(c, port, `${c.req.param("set")}/${c.req.param("function")}`);
  });
  const request = new Request("https://manager.test/images/resize", { method: "POST", ...init });
  return await app.fetch(request, { remoteAddress: "10.0.0.1" });
}

const stream = { headers: { accept: "text/event-stream" } };
const utf8 = (text: string) => new TextEncoder().encode(text);

/** The events of a server-sent stream as the HTML standard has a reader take them apart. */
function eventsOf(text: string): { event: string; data: string }[] {
  return text.split("\n\n").filter((block) => block !== "").map((block) => {
    const lines = block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)!);
    const data = lines.filter(([, field]) => field === "data").map(([, , value]) => value).join("\n");
    return { event: lines.find(([, field]) => field === "event")?.[2] ?? "message", data };
  });
}

Deno.test("a request becomes a frame with its headers, timeout and kind of body", async () => {
  const port = new AnsweringPort([{
    op: Op.reply,
    a: 1500,
    b: 250,
    body: utf8("42"),
    requestId: "000000010000002a",
  }]);
  const headers = {
    "content-type": "Application/Octet-Stream",
    "sqwish-timeout-ms": "1234",
    "sqwish-idempotent": "true",
    "sqwish-header-Trace": "abc",
    "x-other": "not passed on",
  };
  const response = await post(port, { headers, body: new Uint8Array([1, 2]) });
  const [frame] = port.admitted;
  assert.equal(frame.name, "images/resize");
  assert.equal(frame.a, 1234);
  assert.equal(frame.flags, Flag.bytes | Flag.idempotent);
  assert.deepEqual(JSON.parse(frame.meta), { trace: "abc" });
  assert.deepEqual([...frame.body], [1, 2]);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.equal(response.headers.get("sqwish-timing"), "queue=0.3 run=1.5 total=0.0");
  assert.equal(response.headers.get("sqwish-request-id"), "000000010000002a");
  assert.equal(await response.text(), "42");
});

Deno.test("no body is null, and what is no JSON is refused before anything runs", async () => {
  const port = new AnsweringPort([{ op: Op.reply, body: utf8("1") }]);
  await post(port);
  assert.equal(new TextDecoder().decode(port.admitted[0].body), "null");
  const cases: { headers: Record<string, string>; body: BodyInit }[] = [
    { headers: {}, body: "{" },
    { headers: {}, body: new Uint8Array([0x22, 0xff, 0x22]) },
    { headers: { "sqwish-timeout-ms": "soon" }, body: "1" },
    { headers: { "sqwish-timeout-ms": "0" }, body: "1" },
    { headers: { "sqwish-idempotent": "maybe" }, body: "1" },
  ];
  for (const init of cases) {
    const response = await post(port, init);
    assert.equal(response.status, 400);
  }
  assert.equal(port.admitted.length, 1);
  assert.equal((await post(port, { body: '"\ufffd"' })).status, 200);
});

Deno.test("an error frame is the HTTP error of its code", async () => {
  const meta = JSON.stringify({ code: "queue_full", message: "full", details: { retryAfterMs: 1500 } });
  const response = await post(new AnsweringPort([{ op: Op.error, meta }]), stream);
  assert.equal(response.status, 429);
  assert.equal((await response.json()).error.details.retryAfterMs, 1500);
});

Deno.test("any parts of a stream, JSON laid out over lines and bytes of any length, arrive as they were", async () => {
  const json = fc.jsonValue().map((value) => ({
    op: Op.part,
    flags: 0,
    body: utf8(JSON.stringify(value, null, 2)),
  }));
  const bytes = fc.uint8Array({ maxLength: 300 }).map((body) => ({ op: Op.part, flags: Flag.bytes, body }));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(json, bytes), { maxLength: 8 }), async (parts) => {
      const port = new AnsweringPort([...parts, { op: Op.reply }]);
      const events = eventsOf(await (await post(port, stream)).text());
      assert.deepEqual(events.pop(), { event: "end", data: "" });
      assert.equal(events.length, parts.length);
      for (const [index, { event, data }] of events.entries()) {
        const expected = Buffer.from(parts[index].body);
        if (event === "bytes") assert.deepEqual(Buffer.from(data, "base64"), expected);
        else assert.deepEqual(JSON.parse(data), JSON.parse(expected.toString()));
      }
      assert.equal(port.credits, parts.length);
    }),
    { numRuns: 50 },
  );
});

Deno.test("a part of megabytes is sent too", async () => {
  const body = new Uint8Array(3 * 1024 * 1024).fill(7);
  const port = new AnsweringPort([{ op: Op.part, flags: Flag.bytes, body }, { op: Op.reply }]);
  const [event] = eventsOf(await (await post(port, stream)).text());
  assert.equal(Buffer.from(event.data, "base64").length, body.length);
});

Deno.test("a stream that fails on the way says so in its last event", async () => {
  const meta = JSON.stringify({ code: "module_failed", message: "too far", details: {} });
  const port = new AnsweringPort([{ op: Op.part, body: utf8("1") }, { op: Op.error, meta }]);
  const events = eventsOf(await (await post(port, stream)).text());
  assert.deepEqual(events.map(({ event }) => event), ["message", "error"]);
  assert.equal(JSON.parse(events[1].data).error.code, "module_failed");
});

Deno.test("whoever goes away gets its request cancelled, and one that had gone before is never run", async () => {
  const port = new AnsweringPort([]);
  const controller = new AbortController();
  const answer = post(port, { signal: controller.signal });
  await settle();
  controller.abort();
  assert.equal((await answer).status, 499);
  assert.equal(port.cancels, 1);

  const later = new AnsweringPort([]);
  assert.equal((await post(later, { signal: AbortSignal.abort() })).status, 499);
  assert.deepEqual(later.admitted, []);
});

Deno.test("a reader that leaves a stream cancels it", async () => {
  const port = new AnsweringPort([{ op: Op.part, body: utf8("1") }]);
  const response = await post(port, stream);
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal(port.cancels, 1);
});

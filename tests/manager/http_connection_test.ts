/** HTTP connections: requests of every kind, cut and mixed in every way, and clients that go or stay silent. */
import assert from "node:assert/strict";
import { SqwishError } from "../../lib/errors.ts";
import { limits } from "../../lib/limits.ts";
import type { Channel } from "../../lib/protocol/channel.ts";
import { Op } from "../../lib/protocol/frame.ts";
import type { Principal } from "../../lib/security/access.ts";
import { settle } from "../client/scripted_manager.ts";
import { ada, echo, openHttp, requestText } from "./http_rig.ts";

Deno.test("invokes one after the other are answered on one connection, signed in once", async () => {
  const peer = openHttp({ answer: echo });
  await peer.send(
    requestText("[1]"),
    requestText("[1]"),
    requestText("{}", ["sqwish-timeout-ms: 9"]),
    requestText(""),
  );
  await peer.send(requestText("ab", ["Content-Type: application/octet-stream", "sqwish-header-lang: cy"]));
  const answers = peer.answers();
  assert.deepEqual(answers.map(({ status, body }) => [status, body]), [
    [200, "[1]"],
    [200, "[1]"],
    [200, "{}"],
    [200, "null"],
    [200, "ab"],
  ]);
  const { headers } = answers[0];
  assert.equal(headers.get("content-type"), "application/json");
  assert.equal(headers.get("sqwish-timing"), "queue=0.3 run=1.5 total=0.0");
  assert.equal(headers.get("sqwish-request-id"), "000000010000002a");
  assert.equal(headers.get("connection"), "keep-alive");
  assert.equal(headers.get("date"), new Date(peer.clock.nowMs()).toUTCString());
  assert.equal(answers[4].headers.get("content-type"), "application/octet-stream");
  assert.deepEqual(peer.frames.map(({ a }) => a), [0, 0, 9, 0, 0]);
  assert.equal(peer.frames[4].meta, '{"lang":"cy"}');
  assert.equal(peer.frames[4].name, "images/resize");
  assert.equal(peer.signIns.length, 1);
});

Deno.test("wherever a request is cut, and byte by byte, it is answered the same", async () => {
  const chunked =
    "POST /v1/users HTTP/1.1\r\nHost: manager\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  for (const text of [requestText('{"width":64}'), requestText("{}", [], "POST /v1/users"), chunked]) {
    const peer = openHttp({ answer: echo, handle: async (asked) => new Response(await asked.text()) });
    await peer.send(...text);
    const whole = peer.stream.written;
    for (let at = 1; at < text.length; at += 3) {
      peer.stream.written = "";
      await peer.send(text.slice(0, at), text.slice(at));
      assert.equal(peer.stream.written, whole, `cut after ${at} bytes`);
    }
    assert.equal(peer.shared.bodies.bytes, 0);
  }
});

Deno.test("requests that come together are run one at a time and answered in order", async () => {
  const peer = openHttp({ answer: echo });
  const get = "GET /healthz HTTP/1.1\r\nHost: manager\r\n\r\n";
  await peer.send(
    requestText("1") + get + requestText("22", ["x-a: b"]) + requestText("333") +
      requestText("4").slice(0, 60),
  );
  const bodies = ["1", "GET /healthz", "22", "333"];
  assert.deepEqual(peer.answers().map(({ body }) => body), bodies);
  await peer.send(requestText("4").slice(60));
  assert.deepEqual(peer.answers().map(({ body }) => body), [...bodies, "4"]);

  const slow = openHttp();
  await slow.send(requestText("1") + requestText("2"), requestText("3"));
  assert.equal(slow.frames.length, 1);
  assert.equal(slow.stream.paused, false, "it is seen when the client goes");
  await slow.send("x".repeat(limits.httpHeadBytesMax));
  assert.equal(slow.stream.paused, true, "and only so much is read meanwhile");
});

Deno.test("a request of any other kind reaches the app whole, and its answer the client", async () => {
  const asked: Request[] = [];
  const peer = openHttp({
    handle(request) {
      asked.push(request);
      const headers = new Headers({ "x-b": "c" });
      headers.append("set-cookie", "a=1");
      headers.append("set-cookie", "b=2");
      // hono drops the body of a HEAD.
      return new Response(request.method === "PUT" ? "body" : null, {
        status: request.method === "DELETE" ? 204 : 201,
        headers,
      });
    },
  });
  await peer.send(requestText("hello", ["X-A: b"], "PUT /v1/users?x=1"));
  await peer.send(requestText("", [], "HEAD /v1/users"), requestText("", [], "DELETE /v1/users"));
  assert.equal(asked[0].url, "https://manager/v1/users?x=1");
  assert.equal(asked[0].method, "PUT");
  assert.equal(asked[0].headers.get("x-a"), "b");
  assert.equal(await asked[0].text(), "hello");
  assert.match(peer.stream.written, /\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n/);
  const [put, ...rest] = peer.stream.written.split("HTTP/1.1 ").slice(1);
  assert.match(put, /^201 Created\r\n.*Content-Length: 4\r\n\r\nbody$/s);
  // How long a GET's body would be is known to nobody here.
  assert.match(rest[0], /^201 Created\r\n.*\r\n\r\n$/s);
  assert.doesNotMatch(rest[0], /content-length|body/i);
  assert.match(rest[1], /^204 No Content\r\n/);
  assert.doesNotMatch(rest[1], /content-length/i);
});

Deno.test("who waits to be asked for the body is asked once, and not when it is too large", async () => {
  const peer = openHttp({ answer: echo });
  await peer.send(requestText("12345", ["Expect: 100-continue"]).slice(0, -5));
  assert.equal(peer.stream.written, "HTTP/1.1 100 Continue\r\n\r\n");
  await peer.send("123", "45");
  assert.match(peer.stream.written, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n.*12345$/s);

  const large = openHttp();
  await large.send(
    `POST /v1/invoke/a/b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${2 ** 30}\r\n\r\n`,
  );
  assert.equal(large.answers()[0].status, 413);
});

Deno.test("events leave one by one, and a client that goes ends the stream", async () => {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  let cancelled = false;
  const open = () =>
    openHttp({
      handle: () =>
        new Response(
          new ReadableStream<Uint8Array>({
            start: (own) => void (controller = own),
            cancel: () => void (cancelled = true),
          }),
          { headers: { "content-type": "text/event-stream" } },
        ),
    });
  const event = (text: string) => controller.enqueue(new TextEncoder().encode(text));
  const peer = open();
  await peer.send("GET /v1/live HTTP/1.1\r\nHost: manager\r\n\r\n");
  event("data: 1\n\n");
  await settle();
  assert.match(peer.stream.written, /Transfer-Encoding: chunked\r\n.*\r\n\r\n9\r\ndata: 1\n\n\r\n$/s);
  event("data: 22\n\n");
  controller.close();
  await settle();
  assert.match(peer.stream.written, /\r\na\r\ndata: 22\n\n\r\n0\r\n\r\n$/);
  await peer.send("GET /v1/live HTTP/1.1\r\nHost: manager\r\n\r\n");
  peer.stream.end();
  await settle();
  assert.equal(cancelled, true);

  const old = open();
  await old.send("GET /v1/live HTTP/1.0\r\n\r\n");
  event("data: 1\n\n");
  controller.close();
  await settle();
  assert.match(old.stream.written, /Connection: close\r\n\r\ndata: 1\n\n$/);
  assert.equal(old.stream.endedWriting, true);
});

Deno.test("events that break off end the connection without a last chunk, and empty ones are none", async () => {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const peer = openHttp({
    handle: () =>
      new Response(new ReadableStream<Uint8Array>({ start: (own) => void (controller = own) }), {
        headers: { "content-type": "text/event-stream" },
      }),
  });
  await peer.send("GET /v1/live HTTP/1.1\r\nHost: manager\r\n\r\n");
  controller.enqueue(new Uint8Array(0));
  controller.enqueue(new TextEncoder().encode("data: 1\n\n"));
  await settle();
  controller.error(new Error("secret"));
  await settle();
  assert.match(peer.stream.written, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n9\r\ndata: 1\n\n\r\n$/s);
  assert.equal(peer.stream.closed, true);
});

Deno.test("an error that can't be read is an error, too", async () => {
  const peer = openHttp({ answer: ({ id }) => ({ op: Op.error, id, meta: "nonsense" }) });
  await peer.send(requestText("1"), requestText("2"));
  assert.deepEqual(peer.answers().map(({ status }) => status), [500, 500]);
});

Deno.test("an empty line behind a body is no request", async () => {
  const peer = openHttp({ answer: echo });
  await peer.send(`${requestText("1")}\r\n`, `\r\n${requestText("2")}`, "\r\n");
  assert.deepEqual(peer.answers().map(({ body }) => body), ["1", "2"]);
});

Deno.test("what takes too long is ended: a head, a body, an answer nobody reads, a silence", async () => {
  const silent = openHttp();
  await silent.pass(limits.handshakeMsMax + 1);
  assert.equal(silent.stream.closed, true);
  assert.equal(silent.stream.written, "");

  const trickling = openHttp();
  for (const byte of requestText("1").slice(0, 6)) {
    await trickling.send(byte);
    await trickling.pass(limits.handshakeMsMax / 4);
  }
  assert.equal(trickling.answers()[0].status, 400);
  assert.match(trickling.answers()[0].body, /its head did not come within/);

  const stuck = openHttp();
  await stuck.send(requestText("12345").slice(0, -2));
  await stuck.pass(limits.httpTransferMsMax - 1);
  assert.equal(stuck.stream.written, "");
  await stuck.pass(2);
  assert.match(stuck.answers()[0].body, /its body did not come within/);
  assert.equal(stuck.shared.bodies.bytes, 0);

  const kept = openHttp({ answer: echo });
  await kept.send(requestText("1"));
  await kept.pass(limits.httpIdleMsMax - 1);
  assert.equal(kept.stream.closed, false);
  await kept.pass(2);
  assert.equal(kept.stream.closed, true);

  const unread = openHttp({ answer: echo });
  unread.stream.gate = new Promise(() => {});
  await unread.send(requestText("1"));
  await unread.pass(limits.httpTransferMsMax + 1);
  assert.equal(unread.stream.closed, true);

  const busy = openHttp();
  await busy.send(requestText("1"));
  await busy.pass(24 * 3600_000);
  assert.equal(busy.stream.closed, false, "one that waits for its reply stays");
});

Deno.test("who is refused gets to read why: the connection is read from until the client closes it, or a while", async () => {
  const peer = openHttp();
  await peer.send("FROB\r\n\r\n");
  assert.equal(peer.answers()[0].headers.get("connection"), "close");
  assert.equal(peer.stream.endedWriting, true);
  await peer.send("more that nobody will answer");
  assert.equal(peer.answers().length, 1);
  assert.equal(peer.stream.closed, false);
  await peer.pass(1001);
  assert.equal(peer.stream.closed, true);
  assert.equal(peer.counts.left, 1);

  const leaving = openHttp();
  await leaving.send(requestText("1", ["Connection: close"], "GET /healthz"));
  assert.equal(leaving.stream.endedWriting, true);
  leaving.stream.end();
  assert.equal(leaving.stream.closed, true);
});

Deno.test("with too many bytes of requests in memory the next is refused, and they are counted off", async () => {
  const peer = openHttp();
  peer.shared.bodies.hold(limits.httpBodiesBytesMax);
  await peer.send(requestText("12345").slice(0, -2));
  assert.equal(peer.answers()[0].status, 429);
  assert.equal(peer.shared.bodies.bytes, limits.httpBodiesBytesMax);
});

Deno.test("errors are answered with their status and headers, and the connection goes on", async () => {
  const meta = JSON.stringify({ code: "queue_full", message: "full", details: { retryAfterMs: 1500 } });
  const peer = openHttp({
    answer: (frame) => frame.body[0] === 49 ? { op: Op.error, id: frame.id, meta } : echo(frame),
    signIn: (authorization) =>
      authorization === "Basic YTpi"
        ? Promise.resolve(ada)
        : Promise.reject(new SqwishError("unauthenticated", "The user name or password is wrong")),
    handle: () => Promise.reject(new Error("secret")),
  });
  await peer.send(requestText("1"), requestText("{"), requestText("2"));
  await peer.send(
    requestText("3").replace("YTpi", "YTpj"),
    requestText("4").replace("YTpi", "YTpj\r\nSec-Fetch-Mode: cors"),
    requestText("", [], "GET /healthz"),
  );
  const answers = peer.answers();
  assert.deepEqual(answers.map(({ status }) => status), [429, 400, 200, 401, 401, 500]);
  assert.equal(answers[0].headers.get("retry-after"), "2");
  assert.deepEqual(JSON.parse(answers[0].body).error, JSON.parse(meta));
  assert.match(JSON.parse(answers[1].body).error.message, /^The input must be JSON/);
  assert.match(answers[3].headers.get("www-authenticate")!, /^Basic/);
  assert.equal(answers[4].headers.get("www-authenticate"), undefined, "no password box for a page's script");
  assert.doesNotMatch(answers[5].body, /secret/);
});

Deno.test("a failed invoke's answer names its request, and nothing that a module says instead", async () => {
  const fails = (requestId: string) =>
    openHttp({
      answer: ({ id }) => {
        const meta = JSON.stringify({
          code: "module_failed",
          message: "no",
          details: { requestId: "a\r\nb: c" },
        });
        return { op: Op.error, id, meta, requestId };
      },
    });
  const peer = fails("000000010000002a");
  await peer.send(requestText("1"));
  const [answer] = peer.answers();
  assert.deepEqual([answer.status, answer.headers.get("sqwish-request-id")], [502, "000000010000002a"]);
  assert.equal(JSON.parse(answer.body).error.details.requestId, "000000010000002a");
  const without = fails("");
  await without.send(requestText("1"));
  assert.deepEqual(without.answers().map(({ headers }) => headers.get("sqwish-request-id")), [undefined]);
});

Deno.test("who may not invoke is refused, and who no longer stands signs in anew", async () => {
  const viewer = openHttp({ signIn: () => Promise.resolve({ ...ada, role: "viewer" }) });
  await viewer.send(requestText("1"));
  assert.equal(viewer.answers()[0].status, 403);
  assert.equal(viewer.frames.length, 0);

  const peer = openHttp({ answer: echo });
  await peer.send(requestText("1"));
  peer.standing.principal = null;
  await peer.send(requestText("2"));
  assert.equal(peer.signIns.length, 2);
  await peer.send(requestText("3").replace("YTpi", "Yzpk"));
  assert.deepEqual(peer.signIns, ["Basic YTpi", "Basic YTpi", "Basic Yzpk"]);
  assert.deepEqual(peer.answers().map(({ status }) => status), [200, 200, 200]);
});

Deno.test("whoever goes away gets its request cancelled, and nothing is run for who went before", async () => {
  const peer = openHttp();
  await peer.send(requestText("1"));
  peer.stream.end();
  assert.equal(peer.cancelled.length, 1);
  assert.equal(peer.counts.left, 1);

  let signal: AbortSignal | undefined;
  const web = openHttp({
    handle(request) {
      signal = request.signal;
      return new Promise(() => {});
    },
  });
  await web.send(requestText("", [], "GET /v1/agents"));
  assert.equal(signal!.aborted, false);
  web.stream.end();
  assert.equal(signal!.aborted, true);

  const signedIn = Promise.withResolvers<Principal>();
  const early = openHttp({ signIn: () => signedIn.promise });
  await early.send(requestText("1"));
  early.stream.end();
  signedIn.resolve(ada);
  await settle();
  assert.equal(early.frames.length, 0);
});

Deno.test("a join takes the connection with every byte behind its head; a refused one is told why", async () => {
  const upgrade = [
    "GET /v1/join HTTP/1.1",
    "Host: manager",
    "Connection: Upgrade",
    "Upgrade: WebSocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: other, sqwish.1",
    "",
    "",
  ].join("\r\n");
  const channels: Channel[] = [];
  const peer = openHttp({ join: () => Promise.resolve((channel) => void channels.push(channel)) });
  await peer.send(`${upgrade}first frame`);
  assert.match(
    peer.stream.written,
    /^HTTP\/1\.1 101 .*Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/s,
  );
  assert.equal(peer.stream.rest, "first frame");
  assert.equal(channels.length, 1);
  assert.equal(peer.counts.left, 1);

  const refused = openHttp();
  await refused.send(upgrade);
  assert.equal(refused.answers()[0].status, 401);
  const elsewhere = openHttp();
  await elsewhere.send(upgrade.replace("/v1/join", "/v1/elsewhere"));
  assert.equal(elsewhere.answers()[0].status, 404);
});

Deno.test("headers that are not ASCII go out as the bytes they are, and the body stays whole", async () => {
  const peer = openHttp({ handle: () => new Response("caf\u00e9", { headers: { "x-place": "caf\u00e9" } }) });
  await peer.send("GET /v1/overview HTTP/1.1\r\nHost: manager\r\n\r\n");
  const [{ headers, body }] = peer.answers();
  assert.equal(headers.get("x-place"), "caf\u00e9");
  assert.equal(new TextDecoder().decode(Uint8Array.from(body, (char) => char.charCodeAt(0))), "caf\u00e9");
});

/** Connections of plain invokes, on sockets in memory: what comes in is said byte by byte, what goes out is read back. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { SqwishError } from "../../lib/errors.ts";
import type { InvokePort } from "../../lib/manager/api/invoke.ts";
import { InvokeDoor } from "../../lib/manager/api/invoke_connection.ts";
import { silentLog } from "../../lib/log.ts";
import { decodeFrame, encodeFrame, Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import type { Requester } from "../../lib/scheduling/dispatcher.ts";
import type { Principal } from "../../lib/security/access.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { settle } from "../client/scripted_manager.ts";

const ada: Principal = { name: "ada", role: "client", endpoints: ["images/*"] };

class FakeSocket extends Duplex {
  written = "";
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written += chunk.toString("latin1");
    done();
  }
  /** The bytes come as one chunk. */
  receive(text: string): void {
    this.push(Buffer.from(text, "latin1"));
  }
}

interface Script {
  /** Answers at once; left out: never. */
  answer?(frame: Frame): Parameters<typeof encodeFrame>[0];
  signIn?(authorization: string): Promise<Principal>;
  standing?: { principal: Principal | null };
  holds?: boolean;
}

function opened(script: Script = {}) {
  const clock = new ManualClock();
  const frames: Frame[] = [];
  const cancelled: Requester[] = [];
  const signIns: string[] = [];
  const standing = script.standing ?? { principal: ada };
  const port: InvokePort = {
    admit(requester, bytes) {
      const frame = decodeFrame(bytes);
      frames.push(frame);
      if (script.answer) requester.sink.sendFrames(encodeFrame(script.answer(frame)));
    },
    cancel: (requester) => void cancelled.push(requester),
    credit() {},
    monotonicMs: () => clock.monotonicMs(),
  };
  const door = new InvokeDoor({
    clock,
    log: silentLog,
    port,
    async signIn(authorization) {
      signIns.push(authorization);
      const principal = await (script.signIn?.(authorization) ?? Promise.resolve(ada));
      standing.principal = principal;
      return { principal, standing: { principal: () => standing.principal } };
    },
  });
  const socket = new FakeSocket();
  const counts = { held: 0 };
  let left = false;
  let rest = "";
  door.take({
    socket,
    remoteAddress: "10.0.0.1",
    hold(difference) {
      counts.held += difference;
      return script.holds ?? true;
    },
    toHttp() {
      left = true;
      socket.on("data", (chunk: Buffer) => rest += chunk.toString("latin1"));
    },
  });
  return {
    ...{ clock, frames, cancelled, signIns, door, socket, counts, standing },
    /** What node:http was given to read; null while the connection is the door's. */
    http: () => left ? rest : null,
    async send(...pieces: string[]) {
      for (const piece of pieces) {
        socket.receive(piece);
        await settle();
      }
    },
    close() {
      socket.destroy();
      door.close();
      assert.equal(clock.pendingTimers, 0);
    },
  };
}

const echo = (frame: Frame) => ({
  op: Op.reply,
  id: frame.id,
  flags: frame.flags & Flag.bytes,
  a: 1500,
  b: 250,
  requestId: "000000010000002a",
  body: frame.body,
});

function request(body: string, headers: string[] = [], endpoint = "images/resize"): string {
  const lines = ["Host: manager", "Authorization: Basic YTpi", `Content-Length: ${body.length}`, ...headers];
  return [`POST /v1/invoke/${endpoint} HTTP/1.1`, ...lines, "", body].join("\r\n");
}

/** The answers in what was written, by their lengths. */
function answersIn(written: string): { status: number; headers: Map<string, string>; body: string }[] {
  const answers = [];
  for (let at = 0; at < written.length;) {
    const end = written.indexOf("\r\n\r\n", at);
    const [first, ...lines] = written.slice(at, end).split("\r\n");
    const headers = new Map(lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }));
    at = end + 4 + Number(headers.get("content-length"));
    answers.push({ status: Number(first.split(" ")[1]), headers, body: written.slice(end + 4, at) });
  }
  return answers;
}

Deno.test("requests one after the other are answered on one connection, signed in once", async () => {
  const peer = opened({ answer: echo });
  await peer.send(request("[1]"), request("[1]"), request("{}", ["sqwish-timeout-ms: 9"]), request(""));
  await peer.send(request("ab", ["Content-Type: application/octet-stream", "sqwish-header-lang: cy"]));
  const answers = answersIn(peer.socket.written);
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
  assert.equal(peer.http(), null);
  peer.close();
});

Deno.test("wherever a request is cut, and byte by byte, it is answered the same", async () => {
  const text = request('{"width":64}');
  const peer = opened({ answer: echo });
  await peer.send(...text);
  const whole = peer.socket.written;
  for (let at = 1; at < text.length; at += 3) {
    peer.socket.written = "";
    await peer.send(text.slice(0, at), text.slice(at));
    assert.equal(peer.socket.written, whole, `cut after ${at} bytes`);
  }
  assert.equal(peer.counts.held, 0);
  peer.close();
});

Deno.test("requests that come together are run one at a time and answered in order", async () => {
  const peer = opened({ answer: echo });
  await peer.send(request("1") + request("22", ["x-a: b"]) + request("333") + request("4").slice(0, 60));
  assert.deepEqual(answersIn(peer.socket.written).map(({ body }) => body), ["1", "22", "333"]);
  await peer.send(request("4").slice(60));
  assert.deepEqual(answersIn(peer.socket.written).map(({ body }) => body), ["1", "22", "333", "4"]);
  peer.close();

  const slow = opened();
  await slow.send(request("1") + request("2"), request("3"));
  assert.equal(slow.frames.length, 1);
  slow.close();
});

Deno.test("node:http gets every byte from the first request on that is not a plain invoke", async () => {
  const others = "GET /healthz HTTP/1.1\r\nHost: manager\r\n\r\n" + request("2");
  const after = opened({ answer: echo });
  await after.send(request("1") + others);
  assert.deepEqual(answersIn(after.socket.written).map(({ body }) => body), ["1"]);
  assert.equal(after.http(), others);
  assert.equal(after.door.size, 0);
  await after.send("more");
  assert.equal(after.http(), `${others}more`, "and keeps the connection");
  after.close();

  const chunked = request("5\r\nhello", ["Transfer-Encoding: chunked"]);
  const pieces = opened({ answer: echo });
  await pieces.send(...chunked);
  assert.equal(pieces.http(), chunked);
  assert.equal(pieces.frames.length, 0);
  assert.equal(pieces.counts.held, 0);
  pieces.close();
});

Deno.test("a connection that says nothing for a while, or stops within a request, goes over to node:http", async () => {
  const silent = opened();
  silent.clock.advance(5000);
  await settle();
  assert.equal(silent.http(), "");
  silent.close();

  const stuck = opened();
  await stuck.send(request("12345").slice(0, -2));
  assert.ok(stuck.counts.held > 0);
  stuck.clock.advance(5000);
  await settle();
  assert.equal(stuck.http(), request("12345").slice(0, -2));
  assert.equal(stuck.counts.held, 0);
  stuck.close();

  const trickling = opened();
  for (const byte of request("1").slice(0, 6)) {
    await trickling.send(byte);
    trickling.clock.advance(1000);
  }
  await settle();
  assert.equal(trickling.http(), request("1").slice(0, 6));
  trickling.close();

  const busy = opened();
  await busy.send(request("1"));
  busy.clock.advance(60_000);
  await settle();
  assert.equal(busy.http(), null, "one that waits for its reply stays");
  busy.close();
});

Deno.test("with too many bytes of requests in memory it is node:http that says so", async () => {
  const peer = opened({ holds: false });
  await peer.send(request("12345").slice(0, -2));
  assert.equal(peer.http(), request("12345").slice(0, -2));
  peer.close();
});

Deno.test("errors are answered with their status and headers, and the connection goes on", async () => {
  const meta = JSON.stringify({ code: "queue_full", message: "full", details: { retryAfterMs: 1500 } });
  const peer = opened({
    answer: (frame) => frame.body[0] === 49 ? { op: Op.error, id: frame.id, meta } : echo(frame),
    signIn: (authorization) =>
      authorization === "Basic YTpi"
        ? Promise.resolve(ada)
        : Promise.reject(new SqwishError("unauthenticated", "The user name or password is wrong")),
  });
  await peer.send(request("1"), request("{"), request("2"));
  await peer.send(
    request("3").replace("YTpi", "YTpj"),
    request("4").replace("YTpi", "YTpj\r\nSec-Fetch-Mode: cors"),
  );
  const answers = answersIn(peer.socket.written);
  assert.deepEqual(answers.map(({ status }) => status), [429, 400, 200, 401, 401]);
  assert.equal(answers[0].headers.get("retry-after"), "2");
  assert.deepEqual(JSON.parse(answers[0].body).error, JSON.parse(meta));
  assert.match(JSON.parse(answers[1].body).error.message, /^The input must be JSON/);
  assert.match(answers[3].headers.get("www-authenticate")!, /^Basic/);
  assert.equal(answers[4].headers.get("www-authenticate"), undefined, "no password box for a page's script");
  peer.close();
});

Deno.test("who may not invoke is refused, and who no longer stands signs in anew", async () => {
  const viewer = opened({ signIn: () => Promise.resolve({ ...ada, role: "viewer" }) });
  await viewer.send(request("1"));
  assert.equal(answersIn(viewer.socket.written)[0].status, 403);
  assert.equal(viewer.frames.length, 0);
  viewer.close();

  const peer = opened({ answer: echo });
  await peer.send(request("1"));
  peer.standing.principal = null;
  await peer.send(request("2"));
  assert.equal(peer.signIns.length, 2);
  await peer.send(request("3").replace("YTpi", "Yzpk"));
  assert.deepEqual(peer.signIns, ["Basic YTpi", "Basic YTpi", "Basic Yzpk"]);
  assert.deepEqual(answersIn(peer.socket.written).map(({ status }) => status), [200, 200, 200]);
  peer.close();
});

Deno.test("whoever goes away gets its request cancelled, and nothing is run for who went before", async () => {
  const peer = opened();
  await peer.send(request("1"));
  peer.socket.destroy();
  await settle();
  assert.equal(peer.cancelled.length, 1);
  assert.equal(peer.door.size, 0);
  peer.close();

  const signedIn = Promise.withResolvers<Principal>();
  const early = opened({ signIn: () => signedIn.promise });
  await early.send(request("1"));
  early.socket.destroy();
  await settle();
  signedIn.resolve(ada);
  await settle();
  assert.equal(early.frames.length, 0);
  early.close();
});

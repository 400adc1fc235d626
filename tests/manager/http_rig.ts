/** An HTTP connection on a stream in memory: what comes in is said byte by byte, what goes out is read back. */
import { Buffer } from "node:buffer";
import { SqwishError } from "../../lib/errors.ts";
import { silentLog } from "../../lib/log.ts";
import type { InvokePort } from "../../lib/manager/api/invoke.ts";
import { openInvokeExchange } from "../../lib/manager/api/invoke_door.ts";
import { HttpConnection, HttpShared } from "../../lib/manager/http/connection.ts";
import type { Channel } from "../../lib/protocol/channel.ts";
import { decodeFrame, encodeFrame, Flag, type Frame, Op } from "../../lib/protocol/frame.ts";
import type { SharedStream } from "../../lib/protocol/conn_stream.ts";
import type { Requester } from "../../lib/scheduling/dispatcher.ts";
import type { Principal } from "../../lib/security/access.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { settle } from "../client/scripted_manager.ts";

export const ada: Principal = { name: "ada", role: "client", endpoints: ["images/*"] };

export class FakeStream implements SharedStream {
  readonly remoteAddress = "10.0.0.1";
  written = "";
  closed = false;
  paused = false;
  endedWriting = false;
  /** What was handed over; null while the connection is an HTTP one. */
  rest: string | null = null;
  /** Writes wait for this. */
  gate: Promise<void> = Promise.resolve();
  #onData: (chunk: Uint8Array) => void = () => {};
  #onEnd: (reason: string) => void = () => {};

  start(onData: (chunk: Uint8Array) => void, onEnd: (reason: string) => void): void {
    this.#onData = onData;
    this.#onEnd = onEnd;
  }
  async write(bytes: Uint8Array): Promise<void> {
    this.written += Buffer.from(bytes).toString("latin1");
    await this.gate;
  }
  handOver(rest: Uint8Array): void {
    this.rest = Buffer.from(rest).toString("latin1");
  }
  endWriting(): Promise<void> {
    this.endedWriting = true;
    return Promise.resolve();
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  destroy(): void {
    this.closed = true;
  }
  /** The bytes come as one chunk. */
  receive(text: string): void {
    this.#onData(Buffer.from(text, "latin1"));
  }
  end(): void {
    this.#onEnd("the peer closed the connection");
  }
}

export interface Script {
  /** Answers an invoke at once; left out: never. */
  answer?(frame: Frame): Parameters<typeof encodeFrame>[0];
  signIn?(authorization: string): Promise<Principal>;
  standing?: { principal: Principal | null };
  handle?(request: Request): Promise<Response> | Response;
  join?(): Promise<(channel: Channel) => void>;
}

export function openHttp(script: Script = {}) {
  const clock = new ManualClock();
  const frames: Frame[] = [];
  const cancelled: Requester[] = [];
  const signIns: string[] = [];
  const standing = script.standing ?? { principal: ada };
  const admit: InvokePort["admit"] = (requester, bytes) => {
    const frame = decodeFrame(bytes);
    frames.push(frame);
    if (script.answer) requester.sink.sendFrames(encodeFrame(script.answer(frame)));
  };
  const cancel: InvokePort["cancel"] = (requester) => void cancelled.push(requester);
  const signIn = async (authorization: string) => {
    signIns.push(authorization);
    const principal = await (script.signIn?.(authorization) ?? Promise.resolve(ada));
    standing.principal = principal;
    return { principal, standing: { principal: () => standing.principal } };
  };
  const port: InvokePort = { admit, cancel, credit() {}, monotonicMs: () => clock.monotonicMs() };
  const door = { log: silentLog, port, signIn };
  const stream = new FakeStream();
  const shared = new HttpShared();
  const counts = { left: 0 };
  const connection = new HttpConnection(
    {
      clock,
      log: silentLog,
      handle: script.handle ??
        ((request) => new Response(`${request.method} ${new URL(request.url).pathname}`)),
      openExchange: (responder) => openInvokeExchange(door, responder),
      acknowledge: false,
      join: script.join ?? (() => Promise.reject(new SqwishError("unauthenticated", "Nobody joins here"))),
    },
    shared,
    stream,
    () => counts.left++,
  );
  return {
    ...{ clock, frames, cancelled, signIns, stream, counts, standing, shared, connection },
    async send(...pieces: string[]) {
      for (const piece of pieces) {
        stream.receive(piece);
        await settle();
      }
    },
    answers: () => answersIn(stream.written),
    /** As the listener does once a second. */
    async pass(ms: number) {
      clock.advance(ms);
      connection.check(clock.monotonicMs());
      await settle();
    },
  };
}

export const echo = (frame: Frame) => ({
  op: Op.reply,
  id: frame.id,
  flags: frame.flags & Flag.bytes,
  a: 1500,
  b: 250,
  requestId: "000000010000002a",
  body: frame.body,
});

export function requestText(
  body: string,
  headers: string[] = [],
  first = "POST /v1/invoke/images/resize",
): string {
  const lines = ["Host: manager", "Authorization: Basic YTpi", `Content-Length: ${body.length}`, ...headers];
  return [`${first} HTTP/1.1`, ...lines, "", body].join("\r\n");
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
    at = end + 4 + Number(headers.get("content-length") ?? 0);
    answers.push({ status: Number(first.split(" ")[1]), headers, body: written.slice(end + 4, at) });
  }
  return answers;
}

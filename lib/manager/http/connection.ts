/**
 * One TLS connection that speaks HTTP/1.1: bytes → head → body → invoke door, hono app or join, and the answer back.
 * One request is under way at a time; what comes behind it waits. A join takes the connection over for good.
 * Whoever closes its connection has given up: what runs for it is cancelled.
 */
import { Buffer } from "node:buffer";
import type { Clock } from "../../clock.ts";
import { asSqwishError, SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { Log } from "../../log.ts";
import type { Channel } from "../../protocol/channel.ts";
import type { SharedStream } from "../../protocol/conn_stream.ts";
import { HttpBody } from "../../protocol/http_body.ts";
import { readRequestHead, type RequestHead, unreadable } from "../../protocol/http_head.ts";
import { joinPath } from "../../protocol/messages.ts";
import { acceptUpgrade, checkUpgrade } from "../../protocol/websocket_accept.ts";
import { isFromPage } from "../api/http_error.ts";
import {
  CommonLines,
  encodeAnswer,
  encodeChunk,
  errorAnswer,
  isEventStream,
  lastChunk,
  linesOf,
} from "./answer.ts";
import { Bodies, bodyBytesMaxOf, tooManyBodies, webRequest } from "./request.ts";

/** Who answers a connection's plain invokes without a web request for each. */
export interface InvokeExchange {
  /** True when the request is one of its own; it then answers through `respond`. */
  serve(head: RequestHead, body: Uint8Array): boolean;
  /** The client is gone. */
  close(): void;
}

/** What an exchange may do to its connection. */
export interface Responder {
  readonly remoteAddress: string;
  /** Answers the request under way. `lines`: headers in ASCII, each with its line end. */
  respond(status: number, lines: string, body: Uint8Array): void;
  /** Answers it with an error. */
  fail(thrown: unknown): void;
}

export interface HttpOptions {
  clock: Clock;
  log: Log;
  /** `remoteAddress` is the peer's IP address. */
  handle(request: Request, remoteAddress: string): Promise<Response> | Response;
  openExchange?(responder: Responder): InvokeExchange;
  /** Joined peers are to acknowledge what they read. */
  acknowledge: boolean;
  /** Says who it is that joins, as one who takes the channel; rejects with the reason why not. */
  join(head: RequestHead, remoteAddress: string): Promise<(channel: Channel) => void>;
}

/** How long a connection that has got its last answer is read from, so that no reset takes the answer away. */
const lingerMs = 1000;
const noBytes = Buffer.alloc(0);
const goOn = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

/** What all connections of a listener share. */
export class HttpShared {
  readonly bodies = new Bodies();
  readonly common = new CommonLines();
}

export class HttpConnection implements Responder {
  readonly #options: HttpOptions;
  readonly #shared: HttpShared;
  readonly #stream: SharedStream;
  readonly #exchange: InvokeExchange | undefined;
  readonly #left: (connection: HttpConnection) => void;
  #state: "head" | "body" | "serving" | "lingering" | "gone" = "head";
  /** When the state began; for a head, when its first byte came. */
  #sinceMs: number;
  #writingSinceMs: number | null = null;
  /** Bytes that have come and were not consumed. */
  #received: Buffer = noBytes;
  #heldBytes = 0;
  /** The last head and its bytes: a client's next one is often the same. */
  #head: RequestHead | null = null;
  #headBytes: Buffer = noBytes;
  #body: HttpBody | null = null;
  #hasServed = false;
  #inLoop = false;
  /** Aborted when the client goes while a web request is answered. */
  #abort: AbortController | null = null;
  // What follows a write, made once and not for each.
  readonly #written = () => {
    this.#writingSinceMs = null;
  };
  readonly #unwritten = () => {
    this.end();
    this.#writingSinceMs = null;
  };
  readonly #goOn = () => this.#next(true);
  readonly #goAway = () => this.#next(false);

  /** `left` is called when the connection has ended or been taken over. */
  constructor(
    options: HttpOptions,
    shared: HttpShared,
    stream: SharedStream,
    left: (connection: HttpConnection) => void,
  ) {
    this.#options = options;
    this.#shared = shared;
    this.#stream = stream;
    this.#left = left;
    this.#sinceMs = options.clock.monotonicMs();
    this.#exchange = options.openExchange?.(this);
    stream.start((chunk) => this.#onData(chunk), (reason) => this.#onEnd(reason));
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress;
  }

  /** Called at intervals: ends what takes too long. */
  check(nowMs: number): void {
    const waitedMs = nowMs - this.#sinceMs;
    const isWriting = this.#writingSinceMs !== null;
    if (isWriting && nowMs - this.#writingSinceMs! > limits.httpTransferMsMax) return this.end();
    if (this.#state === "lingering" && waitedMs > lingerMs) return this.end();
    if (this.#state === "body" && waitedMs > limits.httpTransferMsMax) {
      return this.#refuse(unreadable(`its body did not come within ${limits.httpTransferMsMax} ms`));
    }
    if (this.#state !== "head") return;
    const isIdle = this.#received.length === 0;
    if (waitedMs <= (isIdle && this.#hasServed ? limits.httpIdleMsMax : limits.handshakeMsMax)) return;
    if (isIdle) this.end();
    else this.#refuse(unreadable(`its head did not come within ${limits.handshakeMsMax} ms`));
  }

  end(): void {
    if (this.#state === "gone") return;
    this.#leave();
    this.#exchange?.close();
    this.#abort?.abort();
    this.#stream.destroy();
  }

  respond(status: number, lines: string, body: Uint8Array): void {
    if (this.#state === "serving") this.#answer(status, lines, body);
  }

  fail(thrown: unknown): void {
    if (this.#state !== "serving") return;
    const error = this.#errorOf(thrown);
    const { lines, body } = errorAnswer(error, isFromPage(this.#head!.headers.get("sec-fetch-mode")));
    this.#answer(error.http, lines, body);
  }

  #onData(chunk: Uint8Array): void {
    if (this.#state === "lingering") return;
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    if (this.#state === "head" || this.#state === "body") this.#read();
    // Until then it is read from, since that shows whether the client is still there.
    else if (this.#received.length > limits.httpHeadBytesMax) this.#stream.pause();
  }

  #onEnd(reason: string): void {
    if (!this.#hasServed && this.#state !== "gone") {
      this.#options.log.debug("a connection ended before its first request", {
        address: this.remoteAddress,
        reason,
      });
    }
    this.end();
  }

  /** Serves what has come, one request after the other. */
  #read(): void {
    // A request answered at once leads back here; the loop further up the stack then goes on.
    if (this.#inLoop) return;
    this.#inLoop = true;
    try {
      while (this.#received.length > 0 && (this.#state === "head" || this.#state === "body")) {
        if (this.#state === "head" && !this.#readHead()) break;
        const body = this.#readBody();
        if (body === null) break;
        this.#serve(body);
      }
      if (this.#state === "head") this.#hold(this.#received.length);
    } catch (thrown) {
      this.#refuse(thrown);
    } finally {
      this.#inLoop = false;
    }
  }

  /** True when the head is whole: `#head`. */
  #readHead(): boolean {
    // Some clients send an empty line behind a body (RFC 9112, section 2.2).
    while (this.#received[0] === 13 && this.#received[1] === 10) this.#received = this.#received.subarray(2);
    if (this.#received.length === 0) return false;
    if (this.#head === null || !startsWith(this.#received, this.#headBytes)) {
      if (this.#heldBytes === 0) this.#sinceMs = this.#options.clock.monotonicMs();
      const head = readRequestHead(this.#received);
      if (head === null) return false;
      this.#head = head;
      this.#headBytes = Buffer.from(this.#received.subarray(0, head.headBytes));
    }
    this.#received = this.#received.subarray(this.#head.headBytes);
    return true;
  }

  /** The whole body, or null when more must come. */
  #readBody(): Uint8Array<ArrayBuffer> | null {
    const head = this.#head!;
    if (this.#state === "head") {
      if (typeof head.body === "number" && head.body <= this.#received.length) {
        const body = this.#received.subarray(0, head.body);
        this.#received = this.#received.subarray(head.body);
        return body as Uint8Array<ArrayBuffer>;
      }
      this.#body = new HttpBody(head.body, bodyBytesMaxOf(head));
      this.#enter("body");
      if (head.expectsContinue) void this.#write(goOn);
    }
    this.#received = this.#body!.push(this.#received);
    this.#hold(this.#body!.bytes);
    if (!this.#body!.isWhole) return null;
    const body = this.#body!.take();
    this.#body = null;
    return body;
  }

  /** Only what waits for the rest of its request, or is being served, is counted. */
  #hold(bytes: number): void {
    const difference = bytes - this.#heldBytes;
    if (difference === 0) return;
    this.#heldBytes = bytes;
    if (!this.#shared.bodies.hold(difference) && difference > 0) throw tooManyBodies();
  }

  #serve(body: Uint8Array<ArrayBuffer>): void {
    const head = this.#head!;
    this.#enter("serving");
    this.#hasServed = true;
    if (head.headers.get("upgrade")?.toLowerCase() === "websocket" || head.path === joinPath) {
      void this.#join(head);
    } else if (!this.#exchange?.serve(head, body)) {
      void this.#handle(head, body);
    }
  }

  async #join(head: RequestHead): Promise<void> {
    try {
      if (head.path !== joinPath) {
        throw new SqwishError("not_found", `Only ${joinPath} takes WebSockets, asked was ${head.target}`);
      }
      checkUpgrade(head);
      const enter = await this.#options.join(head, this.remoteAddress);
      if (this.#state !== "serving") return;
      this.#leave();
      this.#stream.handOver(this.#received);
      enter(await acceptUpgrade(head, this.#stream, this.#options));
    } catch (thrown) {
      if (this.#state === "gone") this.#stream.destroy();
      else this.#refuse(thrown);
    }
  }

  async #handle(head: RequestHead, body: Uint8Array<ArrayBuffer>): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    try {
      const request = webRequest(head, body, abort.signal);
      const response = await this.#options.handle(request, this.remoteAddress);
      this.#hold(0);
      if (isEventStream(response)) return await this.#streamOut(head, response, abort.signal);
      // Of a HEAD the app has dropped the body, and with it the length that the body of a GET would have had.
      const hasNoBody = response.body === null && head.method === "HEAD";
      const bytes = hasNoBody ? null : new Uint8Array(await response.arrayBuffer());
      this.#answer(response.status, linesOf(response.headers), bytes);
    } catch (thrown) {
      this.fail(thrown);
    } finally {
      if (this.#abort === abort) this.#abort = null;
    }
  }

  /** Server-sent events, one chunk for each. */
  async #streamOut(head: RequestHead, response: Response, gone: AbortSignal): Promise<void> {
    const keepsAlive = head.keepsAlive;
    const lines = linesOf(response.headers) + (head.isOld ? "" : "Transfer-Encoding: chunked\r\n");
    const reader = response.body!.getReader();
    const cancel = () => void reader.cancel().catch(() => {});
    // The client may have gone while the answer was made; its abort has then been and comes no more.
    if (gone.aborted) cancel();
    else gone.addEventListener("abort", cancel);
    await this.#write(this.#encode({ status: response.status, lines, bodyBytes: null, keepsAlive }));
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#state !== "serving") break;
        // An empty chunk would be the last one.
        if (value.length > 0) await this.#write(head.isOld ? value : encodeChunk(value));
      }
    } catch (thrown) {
      // Its head has gone, so that it is cut short is all that can be said.
      this.#errorOf(thrown);
      return this.end();
    }
    if (!head.isOld) await this.#write(lastChunk);
    this.#next(keepsAlive);
  }

  /** `body`: null when its length is not known and it is not sent. */
  #answer(status: number, lines: string, body: Uint8Array | null): void {
    const { keepsAlive, method } = this.#head!;
    const hasBody = body !== null && status !== 204 && status !== 304;
    const head = { status, lines, bodyBytes: hasBody ? body.length : null, keepsAlive };
    void this.#write(this.#encode(head, hasBody && method !== "HEAD" ? body : noBytes))
      .then(keepsAlive ? this.#goOn : this.#goAway);
  }

  #encode(head: Parameters<typeof encodeAnswer>[0], body: Uint8Array = noBytes): Buffer {
    return encodeAnswer(head, this.#shared.common.at(this.#options.clock.nowMs(), head.keepsAlive), body);
  }

  /** Never rejects: who can't be written to is gone. */
  #write(bytes: Uint8Array): Promise<void> {
    if (this.#state === "gone") return Promise.resolve();
    this.#writingSinceMs = this.#options.clock.monotonicMs();
    return this.#stream.write(bytes).then(this.#written, this.#unwritten);
  }

  /** The request under way has been answered. */
  #next(keepsAlive: boolean): void {
    if (this.#state !== "serving") return;
    this.#hold(0);
    if (!keepsAlive) return this.#linger();
    this.#enter("head");
    this.#stream.resume();
    this.#read();
  }

  /** Says what is wrong and ends the connection: nobody knows where another request would begin. */
  #refuse(thrown: unknown): void {
    if (this.#state === "gone" || this.#state === "lingering") return;
    const error = this.#errorOf(thrown);
    const { lines, body } = errorAnswer(error, isFromPage(this.#head?.headers.get("sec-fetch-mode")));
    const head = { status: error.http, lines, bodyBytes: body.length, keepsAlive: false };
    this.#options.log.debug("HTTP refused", { address: this.remoteAddress, reason: error.message });
    this.#enter("serving");
    void this.#write(this.#encode(head, body)).then(() => this.#linger());
  }

  #linger(): void {
    if (this.#state !== "serving") return;
    this.#hold(0);
    this.#received = noBytes;
    this.#body = null;
    this.#enter("lingering");
    this.#stream.resume();
    this.#stream.endWriting().catch(() => this.end());
  }

  #leave(): void {
    this.#enter("gone");
    this.#shared.bodies.hold(-this.#heldBytes);
    this.#heldBytes = 0;
    this.#left(this);
  }

  #enter(state: "head" | "body" | "serving" | "lingering" | "gone"): void {
    this.#state = state;
    this.#sinceMs = this.#options.clock.monotonicMs();
  }

  #errorOf(thrown: unknown): SqwishError {
    const error = asSqwishError(thrown, "The request");
    if (error.code === "internal") {
      const path = this.#head?.target;
      this.#options.log.error("request failed", { path, error: error.cause });
    }
    return error;
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false;
  for (let i = 0; i < start.length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

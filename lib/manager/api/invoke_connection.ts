/**
 * A TLS connection while it carries nothing but plain `POST /v1/invoke/…` requests: socket → head → sign-in → frame →
 * dispatcher, and the reply as one write. This takes half of node:http's time per request. With the first request
 * that is anything else, and when nothing comes for a while, the connection goes over to node:http for good, with
 * every byte that was not consumed. One request is under way at a time; what comes behind it waits.
 */
import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../../clock.ts";
import { asSqwishError, describeError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import {
  decodeFrame,
  encodeFrame,
  Flag,
  frameA,
  frameB,
  frameBodyAt,
  frameFlags,
  frameOp,
  frameRequestId,
  Op,
} from "../../protocol/frame.ts";
import type { FrameSink, Requester } from "../../scheduling/dispatcher.ts";
import { mayInvoke, type Principal, requireAllowed } from "../../security/access.ts";
import { errorHeaders } from "./http_error.ts";
import { bytesType, errorOf, inputOf, type InvokePort, requireJson, timingOf } from "./invoke.ts";
import { type InvokeHead, readInvokeHead } from "./invoke_head.ts";
import type { Standing } from "./sign_in.ts";

export interface InvokeDoorOptions {
  clock: Clock;
  log: Log;
  port: InvokePort;
  /** By the value of an `Authorization` header. */
  signIn(authorization: string, address: string): Promise<{ principal: Principal; standing: Standing }>;
}

/** What a TLS socket of node has and its types in a stream's place have not. */
type Socket = Duplex & { setNoDelay?(on: boolean): void };

/** A new connection of the listener's. */
export interface PlainConnection {
  socket: Socket;
  remoteAddress: string;
  /** Counts bytes of requests that are not whole; false: there are too many of them in memory. */
  hold(difference: number): boolean;
  /** Lets node:http read from the socket. */
  toHttp(): void;
}

/** A connection without a whole request for one to two of these goes over to node:http, whose time-outs then count. */
const idleMs = 2500;

const noBytes = Buffer.alloc(0);

/** All invoke connections of a manager. */
export class InvokeDoor {
  readonly options: InvokeDoorOptions;
  readonly #connections = new Set<InvokeConnection>();
  readonly #stop: () => void;
  #second = 0;
  #common = "";

  constructor(options: InvokeDoorOptions) {
    this.options = options;
    this.#stop = options.clock.every(idleMs, () => {
      for (const connection of this.#connections) connection.leaveWhenIdle();
    });
  }

  /** How many have not gone over to node:http. */
  get size(): number {
    return this.#connections.size;
  }

  take(plain: PlainConnection): void {
    const connection = new InvokeConnection(this, plain, () => this.#connections.delete(connection));
    this.#connections.add(connection);
  }

  /** The header lines that node:http adds by itself; they change once a second. */
  commonLines(): string {
    const second = Math.floor(this.options.clock.nowMs() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      const date = new Date(second * 1000).toUTCString();
      this.#common = `Date: ${date}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n`;
    }
    return this.#common;
  }

  close(): void {
    this.#stop();
  }
}

class InvokeConnection {
  readonly #door: InvokeDoor;
  readonly #plain: PlainConnection;
  readonly #left: () => void;
  readonly #sink: FrameSink = {
    sendFrames: (bytes, at = 0, end = bytes.length) => this.#answer(bytes, at, end),
  };
  /** Bytes that have come and were not consumed. */
  #received: Buffer = noBytes;
  #heldBytes = 0;
  /** The last head and its bytes: a client's next one is nearly always the same. */
  #head: { bytes: Buffer; is: InvokeHead } | null = null;
  /** Who sent the last request, and the header that said so. */
  #authorization = "";
  #standing: Standing | null = null;
  #principal: Principal | null = null;
  #requester: Requester | null = null;
  #startedMs = 0;
  #state: "reading" | "serving" | "draining" | "gone" = "reading";
  #inLoop = false;
  /** The client sends no more; what it has asked for is answered. */
  #ending = false;
  /** Since the last look: a request was answered, or the connection is new. Bytes alone don't count, they may trickle. */
  #active = true;

  constructor(door: InvokeDoor, plain: PlainConnection, left: () => void) {
    this.#door = door;
    this.#plain = plain;
    this.#left = left;
    plain.socket.setNoDelay?.(true);
    plain.socket.on("error", (error: Error) => door.options.log.debug("an HTTP client is gone", { error }));
    plain.socket.on("data", this.#onData).on("drain", this.#onDrain).on("end", this.#onEnd)
      .on("close", this.#onClose);
  }

  /** Called at intervals. */
  leaveWhenIdle(): void {
    if (!this.#active && this.#state === "reading") this.#leave();
    this.#active = false;
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (this.#state === "reading") this.#read();
    else this.#plain.socket.pause();
  };

  readonly #onDrain = (): void => {
    if (this.#state === "draining") this.#next();
  };

  readonly #onEnd = (): void => {
    this.#ending = true;
    if (this.#state === "reading") this.#plain.socket.end();
  };

  readonly #onClose = (): void => {
    const wasServing = this.#state === "serving";
    this.#state = "gone";
    this.#plain.hold(-this.#heldBytes);
    this.#left();
    if (wasServing && this.#requester) this.#door.options.port.cancel(this.#requester);
  };

  /** Serves what has come, one request after the other. */
  #read(): void {
    // A request answered at once leads back here; the loop further up the stack then goes on.
    if (this.#inLoop) return;
    this.#inLoop = true;
    while (this.#state === "reading" && this.#received.length > 0) {
      const head = this.#readHead();
      if (head === "other") this.#leave();
      else if (head === "more" || this.#received.length < head.headBytes + head.bodyBytes) break;
      else this.#serve(head);
    }
    this.#inLoop = false;
    if (this.#state !== "gone") this.#hold(this.#received.length);
  }

  #readHead(): InvokeHead | "more" | "other" {
    const known = this.#head;
    if (known && startsWith(this.#received, known.bytes)) return known.is;
    const is = readInvokeHead(this.#received);
    if (typeof is === "object") {
      this.#head = { bytes: Buffer.from(this.#received.subarray(0, is.headBytes)), is };
    }
    return is;
  }

  /** Only what waits for the rest of its request is counted. */
  #hold(bytes: number): void {
    const difference = bytes - this.#heldBytes;
    if (difference === 0) return;
    this.#heldBytes = bytes;
    if (!this.#plain.hold(difference)) this.#leave();
  }

  #serve(head: InvokeHead): void {
    const end = head.headBytes + head.bodyBytes;
    const body = this.#received.subarray(head.headBytes, end);
    this.#received = end === this.#received.length ? noBytes : this.#received.subarray(end);
    this.#state = "serving";
    this.#startedMs = this.#door.options.port.monotonicMs();
    const same = head.authorization === this.#authorization;
    this.#principal = same ? this.#standing?.principal() ?? null : null;
    if (this.#principal) return this.#admit(head, body);
    this.#signIn(head.authorization).then(
      () => this.#admit(head, body),
      (thrown) => this.#fail(thrown, head),
    );
  }

  async #signIn(authorization: string): Promise<void> {
    this.#standing = null;
    this.#requester = null;
    const { principal, standing } = await this.#door.options.signIn(authorization, this.#plain.remoteAddress);
    this.#authorization = authorization;
    this.#standing = standing;
    this.#principal = principal;
    this.#requester = {
      // One user's HTTP requests share a turn in the queue, as those of one connection do.
      id: `http ${principal.name}`,
      describe: principal.name,
      mayInvoke: (endpoint) => mayInvoke(this.#principal!, endpoint),
      sink: this.#sink,
    };
  }

  #admit(head: InvokeHead, body: Uint8Array): void {
    // It may have gone while its password was checked; nothing is run for nobody.
    if (this.#state === "gone") return;
    try {
      requireAllowed(this.#principal!, "invoke");
      if ((head.flags & Flag.bytes) === 0 && body.length > 0) requireJson(body);
      const frame = encodeFrame({
        op: Op.request,
        id: 1,
        flags: head.flags,
        a: head.timeoutMs,
        name: head.endpoint,
        meta: head.meta,
        body: inputOf(head.flags, body),
      });
      this.#door.options.port.admit(this.#requester!, frame);
    } catch (thrown) {
      this.#fail(thrown, head);
    }
  }

  /** The dispatcher's one outcome. */
  #answer(bytes: Uint8Array, at: number, end: number): void {
    if (this.#state !== "serving") return;
    if (frameOp(bytes, at) === Op.error) return this.#fail(errorOf(decodeFrame(bytes, at)), this.#head!.is);
    const isBytes = (frameFlags(bytes, at) & Flag.bytes) !== 0;
    const totalMs = this.#door.options.port.monotonicMs() - this.#startedMs;
    const lines = `content-type: ${isBytes ? bytesType : "application/json"}\r\n` +
      `sqwish-timing: ${timingOf(frameB(bytes, at), frameA(bytes, at), totalMs)}\r\n` +
      `sqwish-request-id: ${frameRequestId(bytes, at)}\r\n`;
    this.#respond(200, lines, bytes.subarray(frameBodyAt(bytes, at), end));
  }

  #fail(thrown: unknown, { fromPage }: InvokeHead): void {
    if (this.#state !== "serving") return;
    const error = asSqwishError(thrown, "The request");
    if (error.code === "internal") {
      this.#door.options.log.error("request failed", {
        route: "POST /v1/invoke",
        error: describeError(thrown),
      });
    }
    const lines = Object.entries(errorHeaders(error, fromPage)).map(([name, value]) =>
      `${name}: ${value}\r\n`
    );
    this.#respond(error.http, lines.join(""), Buffer.from(JSON.stringify(error)));
  }

  /** `lines`: headers in ASCII, each with its line end. Head and body leave as one write. */
  #respond(status: number, lines: string, body: Uint8Array): void {
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n${lines}` +
      `${this.#door.commonLines()}Content-Length: ${body.length}\r\n\r\n`;
    const bytes = Buffer.allocUnsafe(head.length + body.length);
    bytes.write(head, 0, "latin1");
    bytes.set(body, head.length);
    this.#state = "draining";
    this.#active = true;
    if (this.#ending) this.#plain.socket.end(bytes);
    else if (this.#plain.socket.write(bytes)) this.#next();
  }

  #next(): void {
    this.#state = "reading";
    if (this.#plain.socket.isPaused()) this.#plain.socket.resume();
    this.#read();
  }

  /** To node:http, with what was not consumed. */
  #leave(): void {
    const { socket } = this.#plain;
    this.#state = "gone";
    this.#plain.hold(-this.#heldBytes);
    this.#left();
    socket.off("data", this.#onData).off("drain", this.#onDrain).off("end", this.#onEnd)
      .off("close", this.#onClose);
    socket.pause();
    if (this.#received.length > 0) socket.unshift(this.#received);
    this.#plain.toHttp();
    queueMicrotask(() => socket.resume());
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false;
  for (let i = 0; i < start.length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

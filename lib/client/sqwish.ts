/**
 * The client library's object: one connection, thousands of concurrent requests, reconnecting by itself.
 * `invoke` → requests → session → manager; this file only says what each operation is as a frame.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import { decodeFrame, Flag, forEachFrame, frameA, frameB, frameRequestId, Op } from "../protocol/frame.ts";
import type { Welcome } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { decodeBody, decodeErrorView, decodeJson, encodeBody } from "./body.ts";
import type { Outgoing } from "./request_writer.ts";
import { PendingRequest, type RequestOptions } from "./pending.ts";
import { Requests } from "./requests.ts";
import { Session } from "./session.ts";
import { streamParts, StreamRequest } from "./stream.ts";

export interface InvokeOptions {
  /** The whole budget: queueing, running, both ways. The endpoint's own when left out. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** True: may run twice when its outcome is unknown, so it is sent again after a lost connection. */
  idempotent?: boolean;
  /** Handed to the module as `ctx.headers`. */
  headers?: Record<string, string>;
}

/** Where the time of one request went, in ms. */
export interface Timing {
  /** Waiting in the manager for a free replica. */
  queueMs: number;
  /** In the module. */
  runMs: number;
  /** Everything else: both ways over the network and through the programs. */
  networkMs: number;
  totalMs: number;
}

export interface InvokeResult {
  /** A JSON value, or a `Uint8Array` when the module replied with bytes. */
  value: unknown;
  timing: Timing;
  /** 16 hex digits, as in the logs. */
  requestId: string;
}

export interface CallReply {
  /** HTTP status, 200 to 299. */
  status: number;
  json?: unknown;
  bytes?: Uint8Array;
}

/** What the object is made of; `connect` fills it from the options, tests from a scripted peer. */
export interface SqwishParts {
  clock: Clock;
  random: Random;
  version: string;
  dial(signal: AbortSignal): Promise<Channel>;
  enroll(): boolean;
  /** At each welcome, also after a reconnect. */
  onWelcome?(welcome: Welcome): void;
}

export class Sqwish {
  readonly #clock: Clock;
  readonly #requests: Requests;
  readonly #session: Session;
  #welcome: Welcome | null = null;
  #connected = false;

  constructor(parts: SqwishParts) {
    this.#clock = parts.clock;
    this.#requests = new Requests(parts.clock);
    this.#session = new Session({
      clock: parts.clock,
      random: parts.random,
      version: parts.version,
      dial: (signal) => parts.dial(signal),
      enroll: () => parts.enroll(),
      onOpen: (channel, welcome) => {
        this.#welcome = welcome;
        this.#connected = true;
        parts.onWelcome?.(welcome);
        this.#requests.connected(channel);
      },
      onFrames: (message) => forEachFrame(message, (at, end) => this.#requests.answer(message, at, end)),
      onLost: (reason) => {
        this.#connected = false;
        this.#requests.disconnected(reason);
      },
      onEnd: (error) => this.#requests.end(error),
    });
  }

  /** The first connection; see `Session.open`. */
  async open(withinMs: number): Promise<void> {
    await this.#session.open(withinMs);
  }

  /** The cluster's name. */
  get cluster(): string {
    return this.#welcome?.cluster ?? "";
  }

  /** False while it reconnects. Requests may be made all the same; they wait. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Requests without an outcome yet. */
  get pendingRequests(): number {
    return this.#requests.size;
  }

  /**
   * Runs an endpoint (`replicaSet/function`) and resolves with its reply: a JSON value or a `Uint8Array`.
   * Rejects with a `SqwishError`; its `code` and `mayHaveRun` tell what may be concluded.
   */
  invoke(endpoint: string, input?: unknown, options: InvokeOptions = noOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const request = new AskedRequest(options, decodeBody, resolve, reject);
      this.#requests.start(request, outgoingInvoke(endpoint, input, options));
    });
  }

  /** Like `invoke`, with where the time went and the request's id. */
  invokeDetailed(
    endpoint: string,
    input?: unknown,
    options: InvokeOptions = noOptions,
  ): Promise<InvokeResult> {
    const startedMs = this.#clock.monotonicMs();
    const read = (bytes: Uint8Array, at: number, end: number): InvokeResult => {
      const totalMs = this.#clock.monotonicMs() - startedMs;
      const [queueMs, runMs] = [frameB(bytes, at) / 1000, frameA(bytes, at) / 1000];
      const networkMs = Math.max(0, totalMs - queueMs - runMs);
      return {
        value: decodeBody(bytes, at, end),
        timing: { queueMs, runMs, networkMs, totalMs },
        requestId: frameRequestId(bytes, at),
      };
    };
    return new Promise((resolve, reject) => {
      const request = new AskedRequest(options, read, resolve, reject);
      this.#requests.start(request, outgoingInvoke(endpoint, input, options));
    });
  }

  /**
   * Runs an endpoint and hands out its reply part by part, as fast as they are taken. The request is sent when the
   * first part is asked for, and cancelled when the loop is left early.
   */
  stream(
    endpoint: string,
    input?: unknown,
    options: InvokeOptions = noOptions,
  ): AsyncIterableIterator<unknown> {
    return streamParts(this.#requests, outgoingInvoke(endpoint, input, options), new StreamRequest(options));
  }

  /**
   * An operation of the HTTP API over this connection, e.g. `call("GET", "/v1/agents")`. Rejects with the API's
   * error for a status of 400 or more. Only reads are repeated after a lost connection.
   */
  call(
    method: string,
    path: string,
    body?: unknown,
    options: Pick<InvokeOptions, "timeoutMs" | "signal"> = noOptions,
  ): Promise<CallReply> {
    return new Promise((resolve, reject) => {
      const idempotent = method === "GET";
      const timeoutMs = options.timeoutMs ?? limits.timeoutMsDefault;
      const { signal } = options;
      const request = new AskedRequest({ timeoutMs, signal, idempotent }, readCall, resolve, reject);
      this.#requests.start(request, outgoingCall(`${method} ${path}`, body));
    });
  }

  /** Gives up what is pending with `cancelled` and closes the connection. Idempotent. */
  async close(): Promise<void> {
    this.#connected = false;
    this.#requests.end(new SqwishError("cancelled", "The connection was closed by its owner"));
    await this.#session.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const noOptions: InvokeOptions = Object.freeze({});

/** A request with one answer, read by `read` and handed to a promise. */
class AskedRequest<Result> extends PendingRequest {
  readonly #read: (bytes: Uint8Array, at: number, end: number) => Result;
  readonly #resolve: (result: Result) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    options: RequestOptions,
    read: (bytes: Uint8Array, at: number, end: number) => Result,
    resolve: (result: Result) => void,
    reject: (error: unknown) => void,
  ) {
    super(options);
    this.#read = read;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onReply(bytes: Uint8Array, at: number, end: number): void {
    try {
      this.#resolve(this.#read(bytes, at, end));
    } catch (thrown) {
      this.#reject(thrown);
    }
  }

  onError(error: SqwishError): void {
    this.#reject(error);
  }
}

function outgoingInvoke(endpoint: string, input: unknown, options: InvokeOptions): Outgoing {
  return {
    op: Op.request,
    flags: options.idempotent ? Flag.idempotent : 0,
    name: endpoint,
    meta: options.headers ? encodeHeaders(options.headers) : "",
    body: encodeBody(input),
  };
}

/** Names of headers are compared without case everywhere, so they travel in lower case. */
function encodeHeaders(headers: Record<string, string>): string {
  const entries = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]);
  return entries.length > 0 ? JSON.stringify(Object.fromEntries(entries)) : "";
}

function outgoingCall(name: string, body: unknown): Outgoing {
  const encoded = body === undefined ? "" : encodeBody(body);
  const contentType = typeof encoded === "string" ? "application/json" : "application/octet-stream";
  return { op: Op.call, flags: 0, name, meta: JSON.stringify({ contentType }), body: encoded };
}

function readCall(bytes: Uint8Array, at: number, end: number): CallReply {
  const { b: status, flags, meta, body } = decodeFrame(bytes.subarray(at, end));
  if (status >= 400) throw decodeErrorView(body, status);
  // An HTTP answer is bytes on the wire whatever it is; its content type tells.
  const isJson = (flags & Flag.bytes) === 0 ||
    (meta !== "" && String(JSON.parse(meta).contentType).includes("json"));
  return isJson ? { status, json: decodeJson(body, 0, body.length) } : { status, bytes: body.slice() };
}

/**
 * The client library's object: one connection, thousands of concurrent requests, reconnecting by itself.
 * `invoke` → requests → session → manager; this file only says what each operation is as a frame.
 */
import type { Clock } from "../clock.ts";
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import { Flag, forEachFrame, type Frame, type FrameParts, Op } from "../protocol/frame.ts";
import type { Welcome } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { decodeBody, decodeErrorView, encodeBody } from "./body.ts";
import { type Answer, type RequestOptions, Requests } from "./requests.ts";
import { Session } from "./session.ts";
import { streamParts } from "./stream.ts";

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
  dial(): Promise<Channel>;
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
      dial: () => parts.dial(),
      enroll: () => parts.enroll(),
      onOpen: (channel, welcome) => {
        this.#welcome = welcome;
        this.#connected = true;
        parts.onWelcome?.(welcome);
        this.#requests.connected(channel);
      },
      onFrames: (message) => forEachFrame(message, (at) => this.#requests.answer(message, at)),
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
  async invoke(endpoint: string, input?: unknown, options: InvokeOptions = {}): Promise<unknown> {
    const frame = await this.#ask(requestFrame(endpoint, input, options), requestOptions(options));
    return decodeBody(frame);
  }

  /** Like `invoke`, with where the time went and the request's id. */
  async invokeDetailed(
    endpoint: string,
    input?: unknown,
    options: InvokeOptions = {},
  ): Promise<InvokeResult> {
    const startedMs = this.#clock.monotonicMs();
    const frame = await this.#ask(requestFrame(endpoint, input, options), requestOptions(options));
    const totalMs = this.#clock.monotonicMs() - startedMs;
    const [queueMs, runMs] = [frame.b / 1000, frame.a / 1000];
    const networkMs = Math.max(0, totalMs - queueMs - runMs);
    return {
      value: decodeBody(frame),
      timing: { queueMs, runMs, networkMs, totalMs },
      requestId: frame.requestId,
    };
  }

  /**
   * Runs an endpoint and hands out its reply part by part, as fast as they are taken. The request is sent when the
   * first part is asked for, and cancelled when the loop is left early.
   */
  stream(endpoint: string, input?: unknown, options: InvokeOptions = {}): AsyncIterableIterator<unknown> {
    return streamParts(this.#requests, requestFrame(endpoint, input, options), requestOptions(options));
  }

  /**
   * An operation of the HTTP API over this connection, e.g. `call("GET", "/v1/agents")`. Rejects with the API's
   * error for a status of 400 or more. Only reads are repeated after a lost connection.
   */
  async call(
    method: string,
    path: string,
    body?: unknown,
    options: Pick<InvokeOptions, "timeoutMs" | "signal"> = {},
  ): Promise<CallReply> {
    const { flags, body: bytes } = body === undefined
      ? { flags: 0, body: new Uint8Array(0) }
      : encodeBody(body);
    const contentType = flags & Flag.bytes ? "application/octet-stream" : "application/json";
    const frame = await this.#ask(
      { op: Op.call, name: `${method} ${path}`, meta: JSON.stringify({ contentType }), flags, body: bytes },
      {
        timeoutMs: options.timeoutMs ?? limits.timeoutMsDefault,
        signal: options.signal,
        idempotent: method === "GET",
      },
    );
    const status = frame.b;
    if (status >= 400) throw decodeErrorView(frame.body, status);
    // An HTTP answer is bytes on the wire whatever it is; its content type tells.
    return isJson(frame)
      ? { status, json: decodeBody({ flags: 0, body: frame.body }) }
      : { status, bytes: frame.body.slice() };
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

  #ask(parts: Omit<FrameParts, "id">, options: RequestOptions): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const answer: Answer = { onReply: resolve, onError: reject };
      try {
        this.#requests.start(parts, options, answer);
      } catch (thrown) {
        reject(asSqwishError(thrown, "Sending the request"));
      }
    });
  }
}

function isJson(frame: Frame): boolean {
  if ((frame.flags & Flag.bytes) === 0) return true;
  return frame.meta !== "" && String(JSON.parse(frame.meta).contentType).includes("json");
}

function requestFrame(endpoint: string, input: unknown, options: InvokeOptions): Omit<FrameParts, "id"> {
  const { flags, body } = encodeBody(input);
  // Names of headers are compared without case everywhere, so they travel in lower case.
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
  const meta = headers.length > 0 ? JSON.stringify(Object.fromEntries(headers)) : "";
  return {
    op: Op.request,
    name: endpoint,
    meta,
    body,
    flags: flags | (options.idempotent ? Flag.idempotent : 0),
  };
}

function requestOptions(options: InvokeOptions): RequestOptions {
  const timeoutMs = options.timeoutMs ?? 0;
  const valid = options.timeoutMs === undefined || (timeoutMs > 0 && timeoutMs <= limits.timeoutMsMax);
  if (!valid) {
    throw new SqwishError(
      "invalid_request",
      `\`timeoutMs\` must be more than 0 and at most ${limits.timeoutMsMax}, is ${options.timeoutMs}`,
    );
  }
  return { timeoutMs, idempotent: options.idempotent ?? false, signal: options.signal };
}

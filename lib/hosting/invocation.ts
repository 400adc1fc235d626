/**
 * One request inside the Worker, from its frame to its reply: input parsed and checked, the function run with its
 * context, the result or each part of a stream encoded, and what went wrong put into words. Ends with exactly one
 * `reply` or `error` frame.
 */
import type { Clock } from "../clock.ts";
import { type ErrorCode, type ErrorDetails, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { CancelReason, encodeFrame, Flag, type Frame, Op } from "../protocol/frame.ts";
import type { Context, InvokeOptions } from "./context.ts";
import type { LoadedEndpoint } from "./module_loader.ts";
import type { ModuleLog } from "./module_log.ts";
import { FailedInvoke } from "./outgoing_calls.ts";
import type { UserErrorReader } from "./user_error.ts";

/** What every invocation of a Worker shares. */
export interface InvocationHost {
  clock: Clock;
  env: Readonly<Record<string, string>>;
  log: ModuleLog;
  errors: UserErrorReader;
  send(frame: Uint8Array): void;
  invoke(caller: Invocation, endpoint: string, input: unknown, options: InvokeOptions): Promise<unknown>;
}

const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();
const emptyBytes = new Uint8Array(0);

export class Invocation {
  readonly #host: InvocationHost;
  readonly #frame: Frame;
  readonly #endpoint: LoadedEndpoint;
  readonly #startedAtMs: number;
  readonly #deadlineMs: number;
  /** Made when the module first asks for the signal: most never do. */
  #abort: AbortController | null = null;
  #cancelled: CancelReason | null = null;
  #credit: number = limits.streamWindowParts;
  #wake: () => void = () => {};
  #onCancel = new Set<() => void>();

  constructor(host: InvocationHost, frame: Frame, endpoint: LoadedEndpoint) {
    this.#host = host;
    this.#frame = frame;
    this.#endpoint = endpoint;
    this.#startedAtMs = host.clock.monotonicMs();
    this.#deadlineMs = this.#startedAtMs + frame.a;
  }

  /** Runs the request to its end. Never rejects. */
  async run(): Promise<void> {
    try {
      const input = this.#input();
      const context = this.#context();
      // Called bare, so that a stack says `resize` and not the name of our field.
      const { run } = this.#endpoint;
      let result = this.#host.log.within(this.#frame.requestId, () => run(input, context));
      // Awaiting costs a turn; most replies of small functions are there already.
      if (result instanceof Promise) result = await result;
      if (isIterator(result)) await this.#drain(result);
      else this.#reply(result);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Aborts the module's signal; what it returns after that no longer counts, except when only the replica ends. */
  cancel(reason: CancelReason): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = reason;
    this.#abort?.abort(abortReason(reason));
    for (const action of this.#onCancel) action();
    this.#wake();
  }

  /** The requester takes `parts` more. */
  addCredit(parts: number): void {
    this.#credit += parts;
    this.#wake();
  }

  get remainingMs(): number {
    return Math.max(0, Math.floor(this.#deadlineMs - this.#host.clock.monotonicMs()));
  }

  /** Runs `action` when the request is cancelled; returns the function that forgets it. */
  whenCancelled(action: () => void): () => void {
    this.#onCancel.add(action);
    if (this.#cancelled !== null) action();
    return () => this.#onCancel.delete(action);
  }

  #input(): unknown {
    const { body, flags, name } = this.#frame;
    if (this.#endpoint.raw) return body;
    const { validator } = this.#endpoint;
    if (flags & Flag.bytes) {
      if (validator) throw refused(`${name} takes JSON that fits its schema, this input is bytes`);
      return body;
    }
    let input: unknown = null;
    if (body.length > 0) {
      try {
        input = JSON.parse(decoder.decode(body));
      } catch (cause) {
        throw refused(`The input of ${name} must be JSON: ${(cause as Error).message}`);
      }
    }
    const result = validator?.validate(input);
    if (result && !result.valid) {
      // The last error is the innermost: it names the value that is wrong.
      const error = result.errors.at(-1);
      const path = error?.instanceLocation.slice(1) || "/";
      throw refused(
        `The input of ${name} doesn't fit its schema at ${path}: ${error?.error.replace(/\.$/, "")}`,
        {
          path,
        },
      );
    }
    return input;
  }

  #context(): Context {
    const host = this.#host;
    const { name, requestId, b, meta } = this.#frame;
    const remainingMs = () => this.remainingMs;
    const signal = () => this.#signal();
    let headers: Readonly<Record<string, string>> | null = null;
    return {
      endpoint: name,
      requestId,
      attempt: Math.max(1, b & 0xff),
      get remainingMs() {
        return remainingMs();
      },
      get signal() {
        return signal();
      },
      get headers() {
        return headers ??= parseHeaders(meta);
      },
      env: host.env,
      log: host.log.contextLog,
      invoke: (endpoint, input, options) =>
        host.invoke(this, endpoint, input, options ?? {}) as Promise<never>,
    };
  }

  #signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#cancelled !== null) this.#abort.abort(abortReason(this.#cancelled));
    }
    return this.#abort.signal;
  }

  async #drain(parts: AsyncIterator<unknown> | Iterator<unknown>): Promise<void> {
    const streamed = (this.#frame.flags & Flag.stream) !== 0;
    const gathered: unknown[] = [];
    let gatheredBytes = 2;
    for (;;) {
      while (streamed && this.#credit === 0 && this.#cancelled === null) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      if (this.#cancelled !== null) {
        await parts.return?.();
        throw abortReason(this.#cancelled);
      }
      const { done, value } = await this.#host.log.within(this.#frame.requestId, () => parts.next());
      if (done) break;
      if (streamed) {
        this.#credit--;
        this.#sendValue(Op.part, value);
      } else {
        const text = toJson(value instanceof Uint8Array ? [...value] : value);
        gatheredBytes += text.length + 1;
        if (gatheredBytes > limits.bodyBytesMax) {
          await parts.return?.();
          throw tooLarge("The parts of the stream together", gatheredBytes);
        }
        gathered.push(text);
      }
    }
    if (streamed) this.#end(emptyBytes, 0);
    else this.#end(encoder.encode(`[${gathered.join(",")}]`), 0);
  }

  #reply(value: unknown): void {
    if (this.#cancelled !== null && this.#cancelled !== CancelReason.drain) {
      throw abortReason(this.#cancelled);
    }
    if (this.#frame.flags & Flag.stream) {
      this.#sendValue(Op.part, value);
      this.#end(emptyBytes, 0);
    } else {
      this.#sendValue(Op.reply, value);
    }
  }

  #sendValue(op: typeof Op.reply | typeof Op.part, value: unknown): void {
    const bytes = value instanceof Uint8Array;
    const body = bytes ? value : encoder.encode(toJson(value));
    if (body.length > limits.bodyBytesMax) {
      throw tooLarge(op === Op.part ? "A part of the stream" : "The reply", body.length);
    }
    if (op === Op.reply) this.#end(body, bytes ? Flag.bytes : 0);
    else this.#host.send(encodeFrame({ op, id: this.#frame.id, flags: bytes ? Flag.bytes : 0, body }));
  }

  #end(body: Uint8Array, flags: number): void {
    this.#host.send(encodeFrame({ op: Op.reply, id: this.#frame.id, flags, a: this.#runUs(), body }));
  }

  #fail(thrown: unknown): void {
    let error = thrown;
    if (this.#cancelled !== null) error = abortReason(this.#cancelled);
    if (!(error instanceof SqwishError)) {
      const { message, stack } = this.#host.errors.read(thrown);
      const name = thrown instanceof Error ? thrown.name : typeof thrown;
      const invoked = thrown instanceof FailedInvoke ? { invokeCode: thrown.code } : {};
      const details = { name, ...invoked, ...(stack ? { stack } : {}) };
      error = new SqwishError("module_failed", message, { details });
    }
    const { code, message, details } = error as SqwishError;
    this.#host.send(errorFrame(this.#frame.id, { code, message, details }, this.#runUs()));
  }

  #runUs(): number {
    return Math.min(0xffff_ffff, Math.round((this.#host.clock.monotonicMs() - this.#startedAtMs) * 1000));
  }
}

/** An `error` frame. Details that would not fit a frame are left out. */
export function errorFrame(
  id: number,
  error: { code: ErrorCode; message: string; details: ErrorDetails },
  runUs = 0,
): Uint8Array<ArrayBuffer> {
  const whole = JSON.stringify(error);
  // A character is up to three bytes of UTF-8.
  const fits = whole.length * 3 <= limits.frameMetaBytesMax ||
    encoder.encode(whole).length <= limits.frameMetaBytesMax;
  const meta = fits ? whole : JSON.stringify({ ...error, details: {} });
  return encodeFrame({ op: Op.error, id, a: runUs, meta });
}

/** JSON text of a reply; `undefined` becomes null. Throws `module_failed` for what JSON can't say. */
function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    const why = (cause as Error).message.split("\n")[0];
    throw new SqwishError("module_failed", `The reply can't be written as JSON: ${why}`, { cause });
  }
}

function tooLarge(what: string, bytes: number): SqwishError {
  // Unlike an input that is refused, it comes after the run.
  return new SqwishError(
    "too_large",
    `${what} may have at most ${limits.bodyBytesMax} bytes, the module returned ${bytes}`,
    { details: { mayHaveRun: "yes", bytes, bytesMax: limits.bodyBytesMax } },
  );
}

function refused(message: string, details: ErrorDetails = {}): SqwishError {
  return new SqwishError("invalid_request", message, { details: { ...details, mayHaveRun: "no" } });
}

function abortReason(reason: CancelReason): SqwishError {
  if (reason === CancelReason.deadline) {
    return new SqwishError("deadline_exceeded", "The deadline passed while the module ran", {
      details: { started: true },
    });
  }
  if (reason === CancelReason.drain) {
    return new SqwishError("agent_lost", "The replica was stopped before the request ended");
  }
  return new SqwishError("cancelled", "The caller gave up on the request");
}

function parseHeaders(meta: string): Readonly<Record<string, string>> {
  if (!meta) return Object.freeze({});
  try {
    const value: unknown = JSON.parse(meta);
    if (typeof value !== "object" || value === null) return Object.freeze({});
    return Object.freeze(
      Object.fromEntries(Object.entries(value).map(([name, text]) => [name.toLowerCase(), String(text)])),
    );
  } catch {
    return Object.freeze({});
  }
}

/** Generators of either kind; arrays and strings are values. */
function isIterator(value: unknown): value is AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as {
    next?: unknown;
    [Symbol.asyncIterator]?: unknown;
    [Symbol.iterator]?: unknown;
  };
  return typeof candidate.next === "function" &&
    (typeof candidate[Symbol.asyncIterator] === "function" ||
      typeof candidate[Symbol.iterator] === "function");
}

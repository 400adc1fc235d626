/**
 * One request inside the Worker, from its frame to its reply: input parsed and checked, the function run with its
 * context, the result or each part of a stream encoded, and what went wrong put into words. Ends with exactly one
 * `reply` or `error` frame. What can end at once does, without a promise.
 */
import type { Clock } from "../clock.ts";
import { type ErrorCode, type ErrorDetails, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import {
  CancelReason,
  Flag,
  formatRequestId,
  frameA,
  frameB,
  frameBodyAt,
  frameFlags,
  frameId,
  frameMeta,
  frameRequestHigh,
  frameRequestLow,
  Op,
} from "../protocol/frame.ts";
import { partsCounted } from "../protocol/stream_window.ts";
import { cut } from "../words.ts";
import type { BodyPool } from "./body_pool.ts";
import type { ContextLog, InvokeOptions } from "./context.ts";
import { errorFrame } from "./error_frame.ts";
import type { FrameSink } from "./host.ts";
import type { AnswerWriter } from "./answer_writer.ts";
import { type ContextSource, InvocationContext, parseHeaders } from "./invocation_context.ts";
import type { LoadedEndpoint } from "./module_loader.ts";
import type { ModuleLog } from "./module_log.ts";
import { FailedInvoke } from "./outgoing_calls.ts";
import { isParts, isPromise, nextPart, type Parts, returnParts } from "./returned.ts";
import type { UserErrorReader } from "./user_error.ts";

/** What every invocation of a Worker shares. */
export interface InvocationHost {
  clock: Clock;
  env: Readonly<Record<string, string>>;
  log: ModuleLog;
  errors: UserErrorReader;
  sink: FrameSink;
  writer: AnswerWriter;
  bodies: BodyPool;
  invoke(caller: Invocation, endpoint: string, input: unknown, options: InvokeOptions): Promise<unknown>;
}

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
const emptyBytes = new Uint8Array(0);
/** How much of what a client has sent is quoted back to it. */
const quotedCharsMax = 200;

export class Invocation implements ContextSource {
  readonly endpointName: string;
  readonly attempt: number;
  /** As its runner knows it. */
  readonly id: number;
  readonly #host: InvocationHost;
  readonly #endpoint: LoadedEndpoint;
  readonly #flags: number;
  readonly #requestHigh: number;
  readonly #requestLow: number;
  readonly #meta: string;
  readonly #startedAtMs: number;
  readonly #deadlineMs: number;
  /** When it ended; the one that runs next begins then. */
  endedAtMs = 0;
  /** Made when the module first asks for the signal: most never do. */
  #abort: AbortController | null = null;
  #cancelled: CancelReason | null = null;
  #credit: number = limits.streamWindowParts;
  #wake: (() => void) | null = null;
  #onCancel: Set<() => void> | null = null;
  #headers: Readonly<Record<string, string>> | null = null;

  /** Reads the head of the request frame at `at`. Throws `invalid_request` when its headers are no UTF-8. */
  constructor(
    host: InvocationHost,
    bytes: Uint8Array,
    at: number,
    endpointName: string,
    endpoint: LoadedEndpoint,
    nowMs: number,
  ) {
    this.#host = host;
    this.#endpoint = endpoint;
    this.id = frameId(bytes, at);
    this.#flags = frameFlags(bytes, at);
    this.#requestHigh = frameRequestHigh(bytes, at);
    this.#requestLow = frameRequestLow(bytes, at);
    this.#meta = frameMeta(bytes, at);
    this.#startedAtMs = nowMs;
    this.#deadlineMs = nowMs + frameA(bytes, at);
    this.endpointName = endpointName;
    this.attempt = Math.max(1, frameB(bytes, at) & 0xff);
  }

  /** Runs the request whose frame is `bytes[at, end)`. Null when it has ended; else resolves at its end, never rejects. */
  run(bytes: Uint8Array, at: number, end: number): Promise<void> | null {
    try {
      const input = this.#input(bytes, at, end);
      const result = this.#call(input);
      if (isPromise(result)) return this.#settle(result);
      if (isParts(result)) return this.#settleParts(result);
      this.#reply(result);
    } catch (thrown) {
      this.#fail(thrown);
    }
    return null;
  }

  /** Calls the function bare, so that a stack says `resize` and not the name of our field. */
  #call(input: unknown): unknown {
    const endpoint = this.#endpoint;
    const { run } = endpoint;
    const { log } = this.#host;
    const context = new InvocationContext(this);
    if (endpoint.goesOn) return log.within(this, run, input, context);
    const result = log.during(this, run, input, context);
    if (isPromise(result) || isParts(result)) {
      endpoint.goesOn = true;
      log.keep();
    }
    return result;
  }

  async #settle(promise: PromiseLike<unknown>): Promise<void> {
    try {
      const result = await promise;
      if (isParts(result)) await this.#drain(result);
      else this.#reply(result);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  async #settleParts(parts: Parts): Promise<void> {
    try {
      await this.#drain(parts);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /** Aborts the module's signal; what it returns after that no longer counts, except when only the replica ends. */
  cancel(reason: CancelReason): void {
    if (this.#cancelled !== null) return;
    this.#cancelled = reason;
    this.#abort?.abort(abortReason(reason));
    for (const action of this.#onCancel ?? []) action();
    this.wake();
  }

  /** The requester takes `parts` more. */
  addCredit(parts: number): void {
    this.#credit += parts;
    this.wake();
  }

  /** What a stream waited for may have happened. */
  wake(): void {
    this.#wake?.();
    this.#wake = null;
  }

  get requestId(): string {
    return formatRequestId(this.#requestHigh, this.#requestLow);
  }

  get remainingMs(): number {
    return Math.max(0, Math.floor(this.#deadlineMs - this.#host.clock.monotonicMs()));
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#cancelled !== null) this.#abort.abort(abortReason(this.#cancelled));
    }
    return this.#abort.signal;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#headers ??= parseHeaders(this.#meta, this.requestId);
  }

  get env(): Readonly<Record<string, string>> {
    return this.#host.env;
  }

  get log(): ContextLog {
    return this.#host.log.contextLog;
  }

  invoke(endpoint: string, input: unknown, options: InvokeOptions): Promise<unknown> {
    return this.#host.invoke(this, endpoint, input, options);
  }

  /** Runs `action` when the request is cancelled; returns the function that forgets it. */
  whenCancelled(action: () => void): () => void {
    const actions = this.#onCancel ??= new Set();
    actions.add(action);
    if (this.#cancelled !== null) action();
    return () => actions.delete(action);
  }

  #input(bytes: Uint8Array, at: number, end: number): unknown {
    const bodyAt = frameBodyAt(bytes, at);
    const { raw, validator } = this.#endpoint;
    if (raw || this.#flags & Flag.bytes) {
      if (!raw && validator) {
        throw refused(`${this.endpointName} takes JSON that fits its schema, this input is bytes`);
      }
      return this.#host.bodies.copy(bytes, bodyAt, end);
    }
    let input: unknown = null;
    if (bodyAt < end) {
      try {
        input = JSON.parse(decodeStrictly(bytes.subarray(bodyAt, end)));
      } catch (cause) {
        throw refused(`The input of ${this.endpointName} must be JSON: ${(cause as Error).message}`);
      }
    }
    const result = validator?.validate(input);
    if (result && !result.valid) {
      // The last error is the innermost: it names the value that is wrong.
      const error = result.errors.at(-1);
      const path = cut(error?.instanceLocation.slice(1) || "/", quotedCharsMax);
      const why = cut(error?.error.replace(/\.$/, "") ?? "", quotedCharsMax);
      throw refused(`The input of ${this.endpointName} doesn't fit its schema at ${path}: ${why}`, { path });
    }
    return input;
  }

  async #drain(parts: Parts): Promise<void> {
    const streamed = (this.#flags & Flag.stream) !== 0;
    const gathered: unknown[] = [];
    let gatheredBytes = 2;
    for (;;) {
      while (streamed && this.#cancelled === null && !this.#maySend) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      if (this.#cancelled !== null) return this.#breakOff(parts, abortReason(this.#cancelled));
      const { done, value } = await this.#host.log.within(this, nextPart, parts);
      if (done) break;
      try {
        if (streamed) {
          this.#credit -= partsCounted(this.#sendValue(Op.part, value));
        } else {
          const text = toJson(value instanceof Uint8Array ? [...value] : value);
          gatheredBytes += text.length + 1;
          if (gatheredBytes > limits.bodyBytesMax) {
            throw tooLarge(Op.reply, gatheredBytes, "The parts of the stream together");
          }
          gathered.push(text);
        }
      } catch (why) {
        return this.#breakOff(parts, why);
      }
    }
    if (streamed) this.#sendBytes(Op.reply, 0, emptyBytes);
    else this.#sendText(Op.reply, `[${gathered.join(",")}]`);
  }

  /** Ends a generator before its end, so that its `finally` runs; what that throws is not why. Throws `why`. */
  async #breakOff(parts: Parts, why: unknown): Promise<never> {
    try {
      await this.#host.log.within(this, returnParts, parts);
    } catch {
      // Why it is broken off comes first.
    }
    throw why;
  }

  /** Neither the requester nor the way to the agent is full. */
  get #maySend(): boolean {
    return this.#credit > 0 && this.#host.sink.bufferedBytes <= limits.sendBufferBytesHigh;
  }

  #reply(value: unknown): void {
    if (this.#cancelled !== null && this.#cancelled !== CancelReason.drain) {
      throw abortReason(this.#cancelled);
    }
    if (this.#flags & Flag.stream) {
      this.#sendValue(Op.part, value);
      this.#sendBytes(Op.reply, 0, emptyBytes);
    } else {
      this.#sendValue(Op.reply, value);
    }
  }

  /** Returns the body's bytes. */
  #sendValue(op: typeof Op.reply | typeof Op.part, value: unknown): number {
    return value instanceof Uint8Array
      ? this.#sendBytes(op, Flag.bytes, value)
      : this.#sendText(op, toJson(value));
  }

  #sendBytes(op: typeof Op.reply | typeof Op.part, flags: number, body: Uint8Array): number {
    if (body.length > limits.bodyBytesMax) throw tooLarge(op, body.length);
    this.#host.writer.sendBytes(op, this.id, flags, this.#runUs(op), body);
    return body.length;
  }

  #sendText(op: typeof Op.reply | typeof Op.part, text: string): number {
    const length = this.#host.writer.sendText(op, this.id, this.#runUs(op), text, limits.bodyBytesMax);
    if (length > limits.bodyBytesMax) throw tooLarge(op, length);
    return length;
  }

  /** Never throws: a request without an answer holds its slot, and what is thrown here takes others' requests along. */
  #fail(thrown: unknown): void {
    const runUs = this.#runUs(Op.error);
    let frame: Uint8Array;
    try {
      frame = errorFrame(this.id, this.#outcomeOf(thrown), runUs);
    } catch {
      // A Proxy or a changed error can refuse to be looked at.
      const message = "The module threw something that can't be read";
      frame = errorFrame(this.id, { code: "module_failed", message, details: {} }, runUs);
    }
    this.#host.sink.sendFrames(frame, 0, frame.length);
  }

  #outcomeOf(thrown: unknown): { code: ErrorCode; message: string; details: ErrorDetails } {
    const error = this.#cancelled === null ? thrown : abortReason(this.#cancelled);
    if (error instanceof SqwishError) {
      return { code: error.code, message: error.message, details: error.details };
    }
    const { name, message, stack } = this.#host.errors.read(thrown);
    const invoked = thrown instanceof FailedInvoke ? { invokeCode: thrown.code } : {};
    return { code: "module_failed", message, details: { name, ...invoked, ...(stack ? { stack } : {}) } };
  }

  /** The run time that the frame which ends the request tells; 0 for a part. */
  #runUs(op: Op): number {
    if (op === Op.part) return 0;
    this.endedAtMs = this.#host.clock.monotonicMs();
    return Math.min(0xffff_ffff, Math.round((this.endedAtMs - this.#startedAtMs) * 1000));
  }
}

/** Throws for what is not UTF-8. Decoding twice in the rare case is many times faster than the strict decoder alone. */
function decodeStrictly(bytes: Uint8Array): string {
  const text = decoder.decode(bytes);
  return text.includes("\ufffd") ? strictDecoder.decode(bytes) : text;
}

/** JSON text of a reply; `undefined` becomes null. Throws `module_failed` for what JSON can't say. */
function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (cause) {
    const why = String((cause as Error)?.message ?? cause).split("\n")[0];
    throw new SqwishError("module_failed", `The reply can't be written as JSON: ${why}`, { cause });
  }
}

function tooLarge(
  op: Op,
  bytes: number,
  what = op === Op.part ? "A part of the stream" : "The reply",
): SqwishError {
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

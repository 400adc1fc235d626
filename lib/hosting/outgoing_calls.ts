/**
 * `ctx.invoke` inside the Worker: a `request` frame up the socket, its answer back by id. The caller's deadline is
 * carried along, and giving up on the caller gives up on what it called.
 */
import { isErrorCode, SqwishError } from "../errors.ts";
import { encodeFrame, Flag, type Frame, Op } from "../protocol/frame.ts";
import type { InvokeError, InvokeOptions } from "./context.ts";
import { traceHeader } from "../trace_context.ts";
import type { Invocation } from "./invocation.ts";

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/**
 * What `ctx.invoke` throws. No `SqwishError`: left uncaught it must not pass for the outcome of the calling request,
 * which has run, whatever became of the one it made.
 */
export class FailedInvoke extends Error implements InvokeError {
  override readonly name = "InvokeError";
  readonly code: string;
  readonly details: Record<string, unknown>;

  constructor(error: SqwishError) {
    super(error.message);
    this.code = error.code;
    this.details = error.details;
  }
}

export class OutgoingCalls {
  #send: (frame: Uint8Array) => void;
  #waiting = new Map<number, Waiting>();
  #lastId = 0;

  constructor(send: (frame: Uint8Array) => void) {
    this.#send = send;
  }

  /** Rejects with a `FailedInvoke` of the code that the cluster answered. */
  async invoke(
    caller: Invocation,
    endpoint: string,
    input: unknown,
    options: InvokeOptions,
  ): Promise<unknown> {
    try {
      return await this.#request(caller, endpoint, input, options);
    } catch (thrown) {
      throw thrown instanceof SqwishError ? new FailedInvoke(thrown) : thrown;
    }
  }

  #request(caller: Invocation, endpoint: string, input: unknown, options: InvokeOptions): Promise<unknown> {
    const remainingMs = Math.min(caller.remainingMs, options.timeoutMs ?? Infinity);
    if (remainingMs < 1) {
      const message = `Nothing is left of the deadline to invoke ${endpoint} with`;
      throw new SqwishError("deadline_exceeded", message, { details: { mayHaveRun: "no" } });
    }
    const bytes = input instanceof Uint8Array;
    const id = this.#nextId();
    const frame = encodeFrame({
      op: Op.request,
      id,
      flags: (bytes ? Flag.bytes : 0) | (options.idempotent ? Flag.idempotent : 0),
      a: Math.floor(remainingMs),
      b: caller.id,
      name: endpoint,
      meta: headersOf(caller, options),
      body: bytes ? input : encoder.encode(JSON.stringify(input) ?? "null"),
    });
    return this.#start(id, frame, caller, options.signal);
  }

  /** Settles the call that a `reply` or `error` frame answers. */
  settle(frame: Frame): void {
    const waiting = this.#waiting.get(frame.id);
    if (!waiting) return;
    if (frame.op === Op.reply) {
      if (frame.flags & Flag.bytes) waiting.resolve(frame.body.slice());
      else waiting.resolve(frame.body.length === 0 ? null : JSON.parse(decoder.decode(frame.body)));
    } else {
      waiting.reject(readError(frame.meta));
    }
  }

  #start(id: number, frame: Uint8Array, caller: Invocation, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        if (!this.#waiting.has(id)) return;
        this.#send(encodeFrame({ op: Op.cancel, id }));
        done(() => reject(new SqwishError("cancelled", "The call was given up")));
      };
      const done = (settle: () => void) => {
        this.#waiting.delete(id);
        forget();
        signal?.removeEventListener("abort", giveUp);
        settle();
      };
      this.#waiting.set(id, {
        resolve: (value) => done(() => resolve(value)),
        reject: (error) => done(() => reject(error)),
      });
      this.#send(frame);
      let forget = () => {};
      forget = caller.whenCancelled(giveUp);
      signal?.addEventListener("abort", giveUp);
      if (signal?.aborted) giveUp();
    });
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0; while (this.#waiting.has(this.#lastId));
    return this.#lastId;
  }
}

/** A trace goes on by itself; what the module says of it counts. */
function headersOf(caller: Invocation, { headers }: InvokeOptions): string {
  const traceparent = caller.headers[traceHeader];
  if (traceparent === undefined) return headers ? JSON.stringify(headers) : "";
  return JSON.stringify({ [traceHeader]: traceparent, ...headers });
}

function readError(meta: string): SqwishError {
  try {
    const { code, message, details } = JSON.parse(meta) as Record<string, unknown>;
    if (isErrorCode(code)) {
      return new SqwishError(code, String(message), { details: (details ?? {}) as Record<string, unknown> });
    }
  } catch {
    // Falls through: an answer without readable words is still an error.
  }
  return new SqwishError("internal", "The cluster answered with an error that could not be read");
}

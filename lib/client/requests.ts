/**
 * The client's pending requests by id: caller → here → channel → manager, and the answer back by id.
 * What can't be sent yet (no connection, or too much is buffered) waits here, in order. Every request gets exactly
 * one outcome: the manager's, or `deadline_exceeded`, `cancelled` or `manager_lost` said here.
 */
import type { Clock } from "../clock.ts";
import { type ErrorCode, type MayHaveRun, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import { decodeFrame, encodeFrame, type Frame, type FrameParts, Op, setFrameA } from "../protocol/frame.ts";
import { decodeError } from "./body.ts";
import { Deadlines } from "./deadlines.ts";

/** The manager keeps the deadline too; for this long its own answer, which knows more, may still arrive. */
const answerGraceMs = 250;
/** How often a connection with a full buffer is looked at again. */
const holdMs = 5;

export interface RequestOptions {
  /** The whole budget; 0: the endpoint's own. */
  timeoutMs: number;
  /** May be sent again when the connection is lost before its outcome is known. */
  idempotent: boolean;
  signal?: AbortSignal;
}

/** Exactly one of `onReply` and `onError` is called, once; `onPart` only before it. */
export interface Answer {
  onReply(frame: Frame): void;
  onPart?(frame: Frame): void;
  onError(error: SqwishError): void;
}

export interface RequestHandle {
  /** Gives up with `cancelled`. */
  cancel(): void;
  /** Takes `count` more parts. */
  credit(count: number): void;
}

interface Pending {
  id: number;
  /** Kept while it may have to be sent (again). */
  frame: Uint8Array | null;
  sent: boolean;
  /** Sent at least once, perhaps on an earlier connection: it may have run. */
  everSent: boolean;
  partsSeen: boolean;
  /** Monotonic; `Infinity` for a request without a budget of its own. */
  deadlineMs: number;
  options: RequestOptions;
  answer: Answer;
  bucket: number | null;
  onAbort: (() => void) | null;
}

export class Requests {
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  /** Not on the present connection yet, in order. */
  readonly #waiting = new Set<Pending>();
  readonly #deadlines: Deadlines<Pending>;
  #channel: Channel | null = null;
  #nextId = 1;
  #ended: SqwishError | null = null;
  #cancelHold: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock, (pending) => this.#expire(pending));
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Throws `too_large` or `queue_full` for what can't be sent at all; every later failure goes to the answer. */
  start(parts: Omit<FrameParts, "id">, options: RequestOptions, answer: Answer): RequestHandle {
    if (this.#ended) throw this.#ended;
    if (options.signal?.aborted) throw cancelledError("no", options.signal.reason);
    const inFlightMax = limits.requestsPerConnectionMax;
    if (this.#pending.size >= inFlightMax) {
      throw new SqwishError("queue_full", `A connection takes at most ${inFlightMax} requests at once`);
    }
    const id = this.#takeId();
    const nowMs = this.#clock.monotonicMs();
    const pending: Pending = {
      id,
      frame: encodeFrame({ ...parts, id }),
      sent: false,
      everSent: false,
      partsSeen: false,
      deadlineMs: options.timeoutMs > 0 ? nowMs + options.timeoutMs : Infinity,
      options,
      answer,
      bucket: null,
      onAbort: null,
    };
    this.#pending.set(id, pending);
    this.#listenForAbort(pending);
    if (this.#waiting.size > 0 || !this.#trySend(pending)) this.#wait(pending);
    return {
      cancel: () => this.#abort(pending, undefined),
      credit: (count) => {
        if (pending.sent && this.#pending.has(id)) this.#send(encodeFrame({ op: Op.credit, id, a: count }));
      },
    };
  }

  /** A connection is open: everything that waits is sent, in order. */
  connected(channel: Channel): void {
    this.#channel = channel;
    this.#pump();
  }

  /** The connection is lost: idempotent requests wait for the next one, the others get `manager_lost`. */
  disconnected(reason: string): void {
    this.#channel = null;
    // The map is in the order of the calls, so what is sent again goes before what was never sent.
    for (const pending of [...this.#pending.values()]) {
      this.#waiting.delete(pending);
      if (!pending.sent) {
        this.#waiting.add(pending);
        continue;
      }
      if (mayGoAgain(pending)) {
        pending.sent = false;
        this.#wait(pending);
      } else {
        this.#fail(pending, lostError(`The connection to the manager was lost: ${reason}`, "maybe"));
      }
    }
  }

  /** No connection will come any more: everything pending and to come fails with `error`. */
  end(error: SqwishError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#cancelHold?.();
    for (const pending of [...this.#pending.values()]) this.#fail(pending, error);
    this.#deadlines.clear();
  }

  /** One frame from the manager. One for an id that is no longer pending is late, and dropped. */
  answer(bytes: Uint8Array, at: number): void {
    const frame = decodeFrame(bytes, at);
    const pending = this.#pending.get(frame.id);
    if (!pending) return;
    switch (frame.op) {
      case Op.part:
        pending.partsSeen = true;
        pending.answer.onPart?.(frame);
        return;
      case Op.reply:
        this.#forget(pending);
        pending.answer.onReply(frame);
        return;
      case Op.error: {
        const error = decodeError(frame);
        // A manager that stops says so before it closes; `disconnected` then sends it again.
        if (error.code === "manager_lost" && mayGoAgain(pending)) return;
        return this.#fail(pending, error);
      }
    }
  }

  #takeId(): number {
    while (this.#pending.has(this.#nextId)) this.#nextId = nextId(this.#nextId);
    const id = this.#nextId;
    this.#nextId = nextId(id);
    return id;
  }

  #trySend(pending: Pending): boolean {
    const channel = this.#channel;
    const frame = pending.frame;
    if (!channel || !frame) return false;
    const bufferedBytes = channel.bufferedBytes;
    // Below the high mark the channel never stops reading, so two ends full of requests and replies can't
    // wait for each other for ever. One frame is always let through.
    if (bufferedBytes > 0 && bufferedBytes + frame.length > limits.sendBufferBytesHigh) return false;
    const remainingMs = pending.deadlineMs - this.#clock.monotonicMs();
    setFrameA(frame, 0, remainingMs === Infinity ? 0 : Math.max(1, Math.ceil(remainingMs)));
    pending.sent = true;
    pending.everSent = true;
    if (!pending.options.idempotent) pending.frame = null;
    this.#setDeadline(pending, pending.deadlineMs + answerGraceMs);
    channel.sendFrames(frame);
    return true;
  }

  #wait(pending: Pending): void {
    this.#waiting.add(pending);
    // Nothing waits for a connection for ever, budget or not.
    const latestMs = this.#clock.monotonicMs() + limits.timeoutMsDefault;
    this.#setDeadline(pending, pending.deadlineMs === Infinity ? latestMs : pending.deadlineMs);
    if (this.#channel) this.#hold();
  }

  #pump(): void {
    for (const pending of this.#waiting) {
      if (!this.#trySend(pending)) {
        if (this.#channel) this.#hold();
        return;
      }
      this.#waiting.delete(pending);
    }
  }

  #hold(): void {
    this.#cancelHold ??= this.#clock.after(holdMs, () => {
      this.#cancelHold = null;
      this.#pump();
    });
  }

  #setDeadline(pending: Pending, atMs: number): void {
    if (pending.bucket !== null) this.#deadlines.remove(pending, pending.bucket);
    pending.bucket = atMs === Infinity ? null : this.#deadlines.add(pending, atMs);
  }

  #expire(pending: Pending): void {
    pending.bucket = null;
    const mayHaveRun = pending.everSent ? "maybe" : "no";
    if (pending.sent) {
      this.#send(encodeFrame({ op: Op.cancel, id: pending.id }));
      this.#fail(
        pending,
        said("deadline_exceeded", `No reply within ${pending.options.timeoutMs} ms`, mayHaveRun),
      );
    } else if (this.#channel) {
      const message = `The request could not be sent within ${pending.options.timeoutMs} ms`;
      this.#fail(pending, said("deadline_exceeded", message, mayHaveRun));
    } else {
      const waitedMs = pending.options.timeoutMs || limits.timeoutMsDefault;
      this.#fail(pending, lostError(`There was no connection to the manager for ${waitedMs} ms`, mayHaveRun));
    }
  }

  #listenForAbort(pending: Pending): void {
    const { signal } = pending.options;
    if (!signal) return;
    pending.onAbort = () => this.#abort(pending, signal.reason);
    signal.addEventListener("abort", pending.onAbort, { once: true });
  }

  #abort(pending: Pending, reason: unknown): void {
    if (!this.#pending.has(pending.id)) return;
    if (pending.sent) this.#send(encodeFrame({ op: Op.cancel, id: pending.id }));
    this.#fail(pending, cancelledError(pending.everSent ? "maybe" : "no", reason));
  }

  #send(bytes: Uint8Array): void {
    this.#channel?.sendFrames(bytes);
  }

  #fail(pending: Pending, error: SqwishError): void {
    this.#forget(pending);
    pending.answer.onError(error);
  }

  #forget(pending: Pending): void {
    this.#pending.delete(pending.id);
    this.#waiting.delete(pending);
    if (pending.bucket !== null) this.#deadlines.remove(pending, pending.bucket);
    if (pending.onAbort) pending.options.signal?.removeEventListener("abort", pending.onAbort);
  }
}

function mayGoAgain(pending: Pending): boolean {
  return pending.options.idempotent && !pending.partsSeen;
}

/** Ids are 1 to 2^32 - 1, then from the start again. */
function nextId(id: number): number {
  return id >= 0xffff_ffff ? 1 : id + 1;
}

function said(code: ErrorCode, message: string, mayHaveRun: MayHaveRun): SqwishError {
  return new SqwishError(code, message, { details: { mayHaveRun, saidBy: "client" } });
}

function lostError(message: string, mayHaveRun: MayHaveRun): SqwishError {
  return said("manager_lost", message, mayHaveRun);
}

function cancelledError(mayHaveRun: MayHaveRun, reason: unknown): SqwishError {
  // Without a reason of its own a signal gives an `AbortError`, which says nothing that the message doesn't.
  const cause = reason instanceof DOMException && reason.name === "AbortError" ? undefined : reason;
  return new SqwishError("cancelled", "The request was cancelled by its caller", {
    cause,
    details: { mayHaveRun, saidBy: "client" },
  });
}

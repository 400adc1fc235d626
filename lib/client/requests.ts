/**
 * The client's pending requests by id: caller → here → channel → manager, and the answer back by id.
 * What can't be sent yet (no connection, or too much is buffered) waits here, in order. Every request gets exactly
 * one outcome: the manager's, or `deadline_exceeded`, `cancelled` or `manager_lost` said here.
 */
import type { Clock } from "../clock.ts";
import { type ErrorCode, type MayHaveRun, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import { encodeFrame, frameId, frameOp, Op, setFrameA } from "../protocol/frame.ts";
import { freeFrame } from "../protocol/large_frames.ts";
import { TimerWheel } from "../timer_wheel.ts";
import { decodeError } from "./body.ts";
import { encodeOwn, type Outgoing, RequestWriter } from "./request_writer.ts";
import { type PendingRequest, RequestTable } from "./pending.ts";

/** The manager keeps the deadline too; for this long its own answer, which knows more, may still arrive. */
const answerGraceMs = 250;
/** How often a connection with a full buffer is looked at again. */
const holdMs = 5;

export class Requests {
  readonly #clock: Clock;
  readonly #pending = new RequestTable();
  /** Not on the present connection yet, in order. */
  readonly #waiting = new Set<PendingRequest>();
  readonly #deadlines: TimerWheel<PendingRequest>;
  readonly #writer = new RequestWriter();
  #channel: Channel | null = null;
  #ended: SqwishError | null = null;
  #cancelHold: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new TimerWheel(clock, (pending) => this.#expire(pending));
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Throws `too_large` or `queue_full` for what can't be sent at all; every later failure goes to `pending`. */
  start(pending: PendingRequest, outgoing: Outgoing): void {
    if (this.#ended) throw this.#ended;
    const { signal } = pending;
    if (signal?.aborted) throw cancelledError("no", signal.reason);
    const inFlightMax = limits.requestsPerConnectionMax;
    if (this.#pending.size >= inFlightMax) {
      throw new SqwishError("queue_full", `A connection takes at most ${inFlightMax} requests at once`);
    }
    const id = this.#pending.takeId();
    const channel = this.#channel;
    // What is sent at once and never again need not be kept, and is written where it is sent from.
    const passes = channel !== null && !pending.idempotent && this.#waiting.size === 0 &&
      channel.bufferedBytes < limits.sendBufferBytesHigh / 2;
    if (passes) this.#writer.write(outgoing, id, Math.ceil(pending.timeoutMs));
    else pending.frame = encodeOwn(outgoing, id);

    if (pending.timeoutMs > 0) pending.endMs = this.#clock.monotonicMs() + pending.timeoutMs;
    if (signal) this.#listenForAbort(pending, signal);
    this.#pending.add(pending, id);
    if (passes) {
      this.#setSent(pending);
      const { bytes, at, end } = this.#writer;
      channel.sendFrames(bytes, at, end);
      channel.freeWhenWritten(bytes, at, end);
    } else if (this.#waiting.size > 0 || !this.#trySend(pending)) {
      this.#wait(pending);
    }
  }

  /** Gives up with `cancelled`. Nothing happens to a request that has its outcome. */
  cancel(pending: PendingRequest): void {
    this.#abort(pending, undefined);
  }

  /** Takes `count` more parts. */
  credit(pending: PendingRequest, count: number): void {
    if (pending.sent && this.#isPending(pending)) {
      this.#send(encodeFrame({ op: Op.credit, id: pending.id, a: count }));
    }
  }

  /** A connection is open: everything that waits is sent, in order. */
  connected(channel: Channel): void {
    this.#channel = channel;
    this.#pump();
  }

  /** The connection is lost: idempotent requests wait for the next one, the others get `manager_lost`. */
  disconnected(reason: string): void {
    this.#channel = null;
    // In the order of the calls, so what is sent again goes before what was never sent.
    for (const pending of this.#pending.list()) {
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
    for (const pending of this.#pending.list()) this.#fail(pending, error);
    this.#deadlines.close();
  }

  /** The frame `bytes[at, end)` from the manager. One for an id that is no longer pending is late, and dropped. */
  answer(bytes: Uint8Array, at: number, end: number): void {
    const pending = this.#pending.get(frameId(bytes, at));
    if (pending === null) return;
    switch (frameOp(bytes, at)) {
      case Op.reply:
        this.#forget(pending);
        pending.onReply(bytes, at, end);
        // The caller has got a value of its own.
        return freeFrame(bytes, at, end);
      case Op.part:
        pending.partsSeen = true;
        return pending.onPart(bytes, at, end);
      case Op.error: {
        const error = decodeError(bytes, at);
        // A manager that stops says so before it closes; `disconnected` then sends it again.
        if (error.code === "manager_lost" && mayGoAgain(pending)) return;
        return this.#fail(pending, pending.sentAgain ? mayHaveRunBefore(error) : error);
      }
    }
  }

  #trySend(pending: PendingRequest): boolean {
    const channel = this.#channel;
    const frame = pending.frame;
    if (!channel || !frame) return false;
    const bufferedBytes = channel.bufferedBytes;
    // Below the high mark the channel never stops reading, so two ends full of requests and replies can't
    // wait for each other for ever. One frame is always let through.
    if (bufferedBytes > 0 && bufferedBytes + frame.length > limits.sendBufferBytesHigh) return false;
    const remainingMs = pending.endMs - this.#clock.monotonicMs();
    setFrameA(frame, 0, remainingMs === Infinity ? 0 : Math.max(1, Math.round(remainingMs)));
    if (!pending.idempotent) pending.frame = null;
    this.#setSent(pending);
    channel.sendFrames(frame);
    return true;
  }

  #setSent(pending: PendingRequest): void {
    pending.sent = true;
    pending.sentAgain = pending.everSent;
    pending.everSent = true;
    this.#setDeadline(pending, pending.endMs + answerGraceMs);
  }

  #wait(pending: PendingRequest): void {
    this.#waiting.add(pending);
    // Nothing waits for a connection for ever, budget or not.
    const latestMs = this.#clock.monotonicMs() + limits.timeoutMsDefault;
    this.#setDeadline(pending, pending.endMs === Infinity ? latestMs : pending.endMs);
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

  #setDeadline(pending: PendingRequest, atMs: number): void {
    this.#deadlines.remove(pending);
    if (atMs === Infinity) return;
    pending.deadlineMs = atMs;
    this.#deadlines.add(pending);
  }

  #expire(pending: PendingRequest): void {
    const mayHaveRun = pending.everSent ? "maybe" : "no";
    if (pending.sent) {
      this.#send(encodeFrame({ op: Op.cancel, id: pending.id }));
      this.#fail(
        pending,
        said("deadline_exceeded", `No reply within ${pending.timeoutMs} ms`, mayHaveRun),
      );
    } else if (this.#channel) {
      const message = `The request could not be sent within ${pending.timeoutMs} ms`;
      this.#fail(pending, said("deadline_exceeded", message, mayHaveRun));
    } else {
      const waitedMs = pending.timeoutMs || limits.timeoutMsDefault;
      this.#fail(pending, lostError(`There was no connection to the manager for ${waitedMs} ms`, mayHaveRun));
    }
  }

  #listenForAbort(pending: PendingRequest, signal: AbortSignal): void {
    pending.onAbort = () => this.#abort(pending, signal.reason);
    signal.addEventListener("abort", pending.onAbort, { once: true });
  }

  #abort(pending: PendingRequest, reason: unknown): void {
    if (!this.#isPending(pending)) return;
    if (pending.sent) this.#send(encodeFrame({ op: Op.cancel, id: pending.id }));
    this.#fail(pending, cancelledError(pending.everSent ? "maybe" : "no", reason));
  }

  #isPending(pending: PendingRequest): boolean {
    return this.#pending.get(pending.id) === pending;
  }

  #send(bytes: Uint8Array): void {
    this.#channel?.sendFrames(bytes);
  }

  #fail(pending: PendingRequest, error: SqwishError): void {
    this.#forget(pending);
    pending.onError(error);
  }

  #forget(pending: PendingRequest): void {
    this.#pending.delete(pending);
    if (this.#waiting.size > 0) this.#waiting.delete(pending);
    this.#deadlines.remove(pending);
    if (pending.onAbort) pending.signal?.removeEventListener("abort", pending.onAbort);
  }
}

function mayGoAgain(pending: PendingRequest): boolean {
  return pending.idempotent && !pending.partsSeen;
}

/** The error of a request that had been sent on an earlier connection, too: there it may have run. */
function mayHaveRunBefore(error: SqwishError): SqwishError {
  if (error.mayHaveRun !== "no") return error;
  const { code, message, details, cause } = error;
  return new SqwishError(code, message, { details: { ...details, mayHaveRun: "maybe" }, cause });
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

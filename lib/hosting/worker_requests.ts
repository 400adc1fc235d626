/**
 * The requests inside the Worker: frames from the agent's socket → claim → invocation, in order. Held until the
 * modules have loaded; run at once after that, except that the event loop gets its turn when a batch takes long and
 * that nothing starts while the agent doesn't read.
 */
import type { ErrorCode } from "../errors.ts";
import { limits } from "../limits.ts";
import {
  type CancelReason,
  decodeFrame,
  frameA,
  frameId,
  frameLength,
  frameOp,
  Op,
} from "../protocol/frame.ts";
import { freeFrame } from "../protocol/large_frames.ts";
import { claim, type Claims } from "./claims.ts";
import { errorFrame } from "./error_frame.ts";
import { Invocation, type InvocationHost } from "./invocation.ts";
import type { LoadedEndpoint, LoadedModules } from "./module_loader.ts";
import { NameCache } from "../protocol/name_cache.ts";
import type { OutgoingCalls } from "./outgoing_calls.ts";

/** Requests run one after the other for at most this long before the event loop gets a turn. */
export const turnMsMax = 5;

/** A request that waits for its turn. */
interface Queued {
  bytes: Uint8Array;
  at: number;
  end: number;
}

interface Target {
  name: string;
  endpoint: LoadedEndpoint | undefined;
}

export class WorkerRequests {
  readonly #host: InvocationHost;
  readonly #claims: Claims;
  readonly #calls: OutgoingCalls;
  #loaded: LoadedModules | null = null;
  readonly #targets = new NameCache((bytes, at): Target => this.#target(bytes, at));
  /** Those that have not ended in their first turn. */
  readonly #running = new Map<number, Invocation>();
  #queue: Queued[] = [];
  /** The number that the agent has given to the next request. */
  #nextSequence = 1;
  /** Those that have overtaken one before them, by their numbers. */
  readonly #early = new Map<number, Queued>();
  readonly #cancelledInQueue = new Set<number>();
  /** The queue goes on by itself. */
  #waiting = false;
  #turnAtMs = 0;
  #nowMs = 0;

  constructor(host: InvocationHost, claims: Claims, calls: OutgoingCalls) {
    this.#host = host;
    this.#claims = claims;
    this.#calls = calls;
  }

  /** Requests before this are held. */
  serve(loaded: LoadedModules): void {
    this.#loaded = loaded;
    this.#beginTurn();
  }

  /** Takes a batch of whole frames. True when nothing refers to the bytes any more. */
  onFrames(bytes: Uint8Array, at: number, end: number): boolean {
    this.#host.log.batch(() => this.#take(bytes, at, end));
    if (this.#queue.length === 0) return true;
    this.#goOnLater();
    return false;
  }

  #take(bytes: Uint8Array, at: number, end: number): void {
    this.#turnAtMs = this.#nowMs = this.#host.clock.monotonicMs();
    for (let frameEnd = at; at < end; at = frameEnd) {
      frameEnd = at + frameLength(bytes, at);
      if (frameOp(bytes, at) !== Op.request) this.#onOther(bytes, at, frameEnd);
      else this.#arrive(bytes, at, frameEnd);
    }
  }

  /** Small requests overtake large ones on the way, but are claimed in the order of their numbers. */
  #arrive(bytes: Uint8Array, at: number, end: number): void {
    const sequence = frameId(bytes, at);
    if (sequence !== this.#nextSequence) {
      // What it lies in is read into again.
      this.#early.set(sequence, { bytes: bytes.slice(at, end), at: 0, end: end - at });
      return;
    }
    this.#line(bytes, at, end);
    for (let next = this.#early.get(this.#nextSequence); next; next = this.#early.get(this.#nextSequence)) {
      this.#early.delete(this.#nextSequence);
      this.#line(next.bytes, next.at, next.end);
    }
  }

  /** It is next: runs it, or lines it up behind those that wait. */
  #line(bytes: Uint8Array, at: number, end: number): void {
    this.#nextSequence = (this.#nextSequence + 1) >>> 0;
    if (this.#queue.length === 0 && this.#mayBegin()) this.#begin(bytes, at, end);
    else this.#queue.push({ bytes, at, end });
  }

  /** The agent has read everything that made the way to it jam. */
  onDrain(): void {
    for (const invocation of this.#running.values()) invocation.wake();
    this.#beginTurn();
  }

  #onOther(bytes: Uint8Array, at: number, end: number): void {
    const id = frameId(bytes, at);
    switch (frameOp(bytes, at)) {
      case Op.cancel: {
        const invocation = this.#running.get(id);
        if (invocation) invocation.cancel(frameA(bytes, at) as CancelReason);
        else if (this.#isWaiting(id)) this.#cancelledInQueue.add(id);
        break;
      }
      case Op.credit:
        this.#running.get(id)?.addCredit(frameA(bytes, at));
        break;
      case Op.reply:
      case Op.error:
        this.#calls.settle(decodeFrame(bytes, at));
        freeFrame(bytes, at, end);
        break;
      case Op.call:
        // The agent asks whether this event loop still turns.
        this.#host.sink.sendFrames(bytes.slice(at, end));
        break;
    }
  }

  #isWaiting(id: number): boolean {
    return this.#early.has(id) || this.#queue.some((one) => frameId(one.bytes, one.at) === id);
  }

  #beginTurn(): void {
    this.#waiting = false;
    this.#host.log.batch(() => this.#takeQueued());
    if (this.#queue.length > 0) this.#goOnLater();
  }

  #takeQueued(): void {
    this.#turnAtMs = this.#nowMs = this.#host.clock.monotonicMs();
    let begun = 0;
    while (begun < this.#queue.length && this.#mayBegin()) {
      const { bytes, at, end } = this.#queue[begun++];
      this.#begin(bytes, at, end);
    }
    if (begun > 0) this.#queue.splice(0, begun);
  }

  #mayBegin(): boolean {
    return this.#loaded !== null && this.#nowMs - this.#turnAtMs <= turnMsMax && !this.#isJammed;
  }

  get #isJammed(): boolean {
    return this.#host.sink.bufferedBytes > limits.sendBufferBytesHigh;
  }

  /** In the next turn of the event loop, unless `serve` or `onDrain` will go on. */
  #goOnLater(): void {
    if (this.#waiting || this.#loaded === null || this.#isJammed) return;
    this.#waiting = true;
    this.#host.clock.after(0, () => this.#beginTurn());
  }

  #begin(bytes: Uint8Array, at: number, end: number): void {
    const id = frameId(bytes, at);
    const cancelled = this.#cancelledInQueue.size > 0 && this.#cancelledInQueue.delete(id);
    if (!claim(this.#claims, id)) return;
    if (cancelled) return this.#refuse(id, "cancelled", "The caller gave up on the request");
    const invocation = this.#invocation(id, bytes, at);
    if (!invocation) return;
    const ended = invocation.run(bytes, at, end);
    // The module has got an input of its own.
    freeFrame(bytes, at, end);
    if (ended === null) {
      this.#nowMs = invocation.endedAtMs;
      return;
    }
    this.#nowMs = this.#host.clock.monotonicMs();
    this.#running.set(id, invocation);
    void ended.then(() => this.#running.delete(id));
  }

  /** Names and headers come from any client and pass the manager unread: what is wrong with them is the client's error. */
  #invocation(id: number, bytes: Uint8Array, at: number): Invocation | null {
    try {
      const { name, endpoint } = this.#targets.get(bytes, at);
      if (endpoint) return new Invocation(this.#host, bytes, at, name, endpoint, this.#nowMs);
      this.#refuse(id, "not_found", `${name} is not an endpoint of this revision`);
    } catch {
      this.#refuse(id, "invalid_request", "A request's name and headers must be UTF-8");
    }
    return null;
  }

  #target(bytes: Uint8Array, at: number): Target {
    const { name } = decodeFrame(bytes, at);
    return { name, endpoint: this.#loaded!.endpoints.get(name.slice(name.indexOf("/") + 1)) };
  }

  #refuse(id: number, code: ErrorCode, message: string): void {
    const frame = errorFrame(id, { code, message, details: { mayHaveRun: "no" } });
    this.#host.sink.sendFrames(frame, 0, frame.length);
  }
}

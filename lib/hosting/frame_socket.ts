/**
 * Frames over a byte stream: the unix socket between agent and runner, used on both of its ends.
 * Frames sent in one turn, or while a write is under way, share the next write. Received frames are whole and handed
 * over by the read, without a copy; their bytes belong to the receiver.
 */
import type { Clock } from "../clock.ts";
import { encodeFrame, Op } from "../protocol/frame.ts";
import { limits } from "../limits.ts";
import { Inbox } from "../protocol/inbox.ts";
import { Outbox } from "../protocol/outbox.ts";

/** The part of `Deno.Conn` that is used. */
export interface ByteStream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

export interface FrameSocketHandlers {
  /** Whole frames, back to back in `bytes[at, end)`. True when nothing that was handed over so far is needed any more. */
  onFrames(bytes: Uint8Array, at: number, end: number): boolean | void;
  /** There is room again after `bufferedBytes` had been over the high mark. */
  onDrain?(): void;
  /** Once. `cause` is missing when the other side closed in an orderly way. */
  onClose(cause?: unknown): void;
}

/** A quiet socket holds no more than this; one whose reads fill it gets `busyReadBytes`. */
const readBytes = 64 * 1024;
const busyReadBytes = 256 * 1024;
/** With less room than this left, the next read goes into a new buffer. */
const roomBytesMin = 16 * 1024;

export class FrameSocket {
  readonly #stream: ByteStream;
  readonly #handlers: FrameSocketHandlers;
  readonly #outbox: Outbox;
  readonly #inbox = new Inbox({
    deliver: (frames) => this.#deliver(frames),
    onTaken: (bytes) => this.#onTaken(bytes),
    tellTaken: (bytes) => this.sendFrames(encodeFrame({ op: Op.taken, id: 0, a: bytes })),
  });
  /** What is being written, in a buffer that every write uses again. */
  #batch = new Uint8Array(0);
  #writingBytes = 0;
  #writing = false;
  #jammed = false;
  #closed = false;
  #paused = false;
  /** Set while reading waits for `resumeReading`. */
  #goOn: (() => void) | null = null;
  /** The receiver needs nothing any more of what it has got. */
  #free = true;

  constructor(stream: ByteStream, clock: Pick<Clock, "monotonicMs">, handlers: FrameSocketHandlers) {
    this.#stream = stream;
    this.#outbox = new Outbox(clock);
    this.#handlers = handlers;
    void this.#read();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that have been sent and not written yet. */
  get bufferedBytes(): number {
    return this.#outbox.bytes + this.#writingBytes;
  }

  /** Bytes that have been sent and are still where the sender put them. */
  get heldBytes(): number {
    return this.#outbox.bytes;
  }

  /** Queues the whole frames in `bytes[at, end)`, which must not change while held. After `close` they are dropped. */
  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.#closed) return;
    this.#outbox.push(bytes, at, end);
    if (this.bufferedBytes > limits.sendBufferBytesHigh) this.#jammed = true;
    this.#scheduleFlush();
  }

  /** Nobody else needs the frame `bytes[at, end)` any more, which was sent: a large one's memory is given back. */
  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void {
    this.#outbox.freeWhenWritten(bytes, at, end);
  }

  #onTaken(bytes: number): void {
    this.#outbox.taken(bytes);
    if (!this.#closed && this.#outbox.bytes > 0) this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#writing) return;
    this.#writing = true;
    // Once this turn is over, so that all it sends goes out together.
    queueMicrotask(() => void this.#flush());
  }

  /** Nothing more is read until `resumeReading`, but for a read that is under way. */
  pauseReading(): void {
    this.#paused = true;
  }

  resumeReading(): void {
    this.#paused = false;
    this.#goOn?.();
    this.#goOn = null;
  }

  /** Closes at once; what has not been written is dropped. Idempotent. */
  close(cause?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.clear();
    this.#writingBytes = 0;
    this.resumeReading();
    try {
      this.#stream.close();
    } catch {
      // The other side's end may have closed it first.
    }
    this.#handlers.onClose(cause);
  }

  #deliver(frames: Uint8Array): void {
    if (!this.#closed) this.#free = this.#handlers.onFrames(frames, 0, frames.length) === true;
  }

  async #flush(): Promise<void> {
    try {
      for (let length = this.#outbox.plan(); length > 0; length = this.#outbox.plan()) {
        if (this.#batch.length < length) {
          this.#batch = new Uint8Array(Math.max(length, 2 * this.#batch.length));
        }
        const batch = this.#batch.subarray(0, this.#outbox.write(this.#batch, 0));
        this.#writingBytes = length;
        for (let at = 0; at < length;) {
          const count = await this.#stream.write(at === 0 ? batch : batch.subarray(at));
          if (this.#closed) return;
          at += count;
          this.#writingBytes -= count;
        }
        this.#drained();
      }
    } catch (thrown) {
      return this.close(thrown);
    }
    this.#writing = false;
  }

  #drained(): void {
    if (!this.#jammed || this.bufferedBytes > limits.sendBufferBytesLow) return;
    this.#jammed = false;
    this.#handlers.onDrain?.();
  }

  async #read(): Promise<void> {
    let buffer = new Uint8Array(readBytes);
    let filled = 0;
    try {
      while (!this.#closed) {
        const count = await this.#stream.read(filled === 0 ? buffer : buffer.subarray(filled));
        if (count === null) break;
        const size = filled + count === buffer.length ? busyReadBytes : readBytes;
        if (!this.#inbox.push(buffer.subarray(filled, filled + count))) filled += count;
        if (this.#free && size <= buffer.length) filled = 0;
        else if (this.#free || buffer.length - filled < roomBytesMin) {
          buffer = new Uint8Array(size);
          filled = 0;
        }
        if (this.#paused) await new Promise<void>((resolve) => this.#goOn = resolve);
      }
    } catch (thrown) {
      return this.close(thrown);
    }
    this.close();
  }
}

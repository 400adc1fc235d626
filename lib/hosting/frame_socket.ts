/**
 * Frames over a byte stream: the unix socket between agent and runner, used on both of its ends.
 * Frames sent in one turn, or while a write is under way, share the next write. Received frames are whole and handed
 * over by the read, without a copy; their bytes belong to the receiver.
 */
import { limits } from "../limits.ts";
import { frameLength, frameLengthAt, headerBytes } from "../protocol/frame.ts";

/** The part of `Deno.Conn` that is used. */
export interface ByteStream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

export interface FrameSocketHandlers {
  /** Whole frames, back to back in `bytes[at, end)`. True when nothing that was handed over so far is needed any more. */
  onFrames(bytes: Uint8Array, at: number, end: number): boolean | void;
  /** Everything has been written after `bufferedBytes` had been over `limits.runnerBytesHigh`. */
  onDrain?(): void;
  /** Once. `cause` is missing when the other side closed in an orderly way. */
  onClose(cause?: unknown): void;
}

/** A quiet socket holds no more than this; one whose reads fill it gets `busyReadBytes`. */
const readBytes = 64 * 1024;
const busyReadBytes = 256 * 1024;
/** With less room than this left, the next read goes into a new buffer. */
const roomBytesMin = 16 * 1024;

/** What the kernel takes at once is less; more would only be copied for nothing. */
const writeBytes = 256 * 1024;

interface Range {
  bytes: Uint8Array;
  at: number;
  end: number;
}

export class FrameSocket {
  readonly #stream: ByteStream;
  readonly #handlers: FrameSocketHandlers;
  #outgoing: Range[] = [];
  #last: Range | null = null;
  #joined = new Uint8Array(0);
  #bufferedBytes = 0;
  #sentBytes = 0;
  #writing = false;
  #jammed = false;
  #closed = false;
  /** Set while reading is paused: resumes it. */
  #resume: (() => void) | null = null;
  #paused = false;

  constructor(stream: ByteStream, handlers: FrameSocketHandlers) {
    this.#stream = stream;
    this.#handlers = handlers;
    void this.#read();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes that have been sent and not written yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Bytes that have been sent so far, all together. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Queues the whole frames in `bytes[at, end)`, which must not be changed until written. After `close` they are dropped. */
  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.#closed) return;
    this.#sentBytes += end - at;
    this.#bufferedBytes += end - at;
    if (this.#bufferedBytes > limits.runnerBytesHigh) this.#jammed = true;
    const last = this.#last;
    if (last && last.bytes === bytes && last.end === at) last.end = end;
    else this.#outgoing.push(this.#last = { bytes, at, end });
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
    this.#resume?.();
    this.#resume = null;
  }

  /** Closes at once; what has not been written is dropped. Idempotent. */
  close(cause?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outgoing = [];
    this.#bufferedBytes = 0;
    this.resumeReading();
    try {
      this.#stream.close();
    } catch {
      // The other side's end may have closed it first.
    }
    this.#handlers.onClose(cause);
  }

  async #flush(): Promise<void> {
    try {
      while (this.#outgoing.length > 0) {
        const batch = this.#nextBatch();
        for (let at = 0; at < batch.length;) {
          const count = await this.#stream.write(at === 0 ? batch : batch.subarray(at));
          if (this.#closed) return;
          at += count;
          this.#bufferedBytes -= count;
        }
      }
    } catch (thrown) {
      return this.close(thrown);
    }
    this.#writing = false;
    if (!this.#jammed) return;
    this.#jammed = false;
    this.#handlers.onDrain?.();
  }

  /** One large range as it lies, or small ones joined in a buffer that every write uses again. */
  #nextBatch(): Uint8Array {
    const ranges = this.#outgoing;
    const [first] = ranges;
    let count = 1;
    let length = first.end - first.at;
    while (count < ranges.length && length + ranges[count].end - ranges[count].at <= writeBytes) {
      length += ranges[count].end - ranges[count++].at;
    }
    this.#last = null;
    if (count === 1) {
      ranges.shift();
      return first.bytes.subarray(first.at, first.end);
    }
    if (this.#joined.length < length) {
      this.#joined = new Uint8Array(Math.max(length, 2 * this.#joined.length));
    }
    let to = 0;
    for (let i = 0; i < count; i++) {
      const { bytes, at, end } = ranges[i];
      this.#joined.set(bytes.subarray(at, end), to);
      to += end - at;
    }
    ranges.splice(0, count);
    return this.#joined.subarray(0, length);
  }

  async #read(): Promise<void> {
    let buffer = new Uint8Array(readBytes);
    /** Bytes `[at, filled)` are the beginning of a frame that is not whole yet. */
    let at = 0;
    let filled = 0;
    try {
      for (;;) {
        const count = await this.#stream.read(filled === 0 ? buffer : buffer.subarray(filled));
        if (count === null) break;
        filled += count;
        const end = endOfFrames(buffer, at, filled);
        const done = end > at && !this.#closed && this.#handlers.onFrames(buffer, at, end);
        at = end;
        if (done) {
          buffer.copyWithin(0, at, filled);
          filled -= at;
          at = 0;
        }
        if (buffer.length - filled < roomBytesMin) {
          const size = filled === buffer.length ? busyReadBytes : readBytes;
          const next = new Uint8Array(Math.max(size, bytesNeeded(buffer, at, filled) + roomBytesMin));
          next.set(buffer.subarray(at, filled));
          buffer = next;
          filled -= at;
          at = 0;
        }
        if (this.#paused) await new Promise<void>((resolve) => this.#resume = resolve);
      }
    } catch (thrown) {
      return this.close(thrown);
    }
    this.close();
  }
}

/** Where the whole frames of `bytes[at, filled)` end. Throws for what can't be a frame. */
function endOfFrames(bytes: Uint8Array, at: number, filled: number): number {
  for (;;) {
    const length = frameLengthAt(bytes, at, filled);
    if (length === 0) return at;
    at += length;
  }
}

/** What a frame takes of which there is only the beginning. */
function bytesNeeded(bytes: Uint8Array, at: number, filled: number): number {
  return filled - at < headerBytes ? headerBytes : frameLength(bytes, at);
}

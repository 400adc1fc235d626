/**
 * Frames over a byte stream: the unix socket between agent and runner, used on both of its ends.
 * Frames sent while a write is under way share the next write. Received frames are whole, and their bytes
 * belong to the receiver.
 */
import { forEachFrame } from "../protocol/frame.ts";
import { Inbox } from "../protocol/inbox.ts";
import { Outbox } from "../protocol/outbox.ts";

/** The part of `Deno.Conn` that is used. */
export interface ByteStream {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

export interface FrameSocketHandlers {
  onFrame(bytes: Uint8Array, at: number, end: number): void;
  /** Once. `cause` is missing when the other side closed in an orderly way. */
  onClose(cause?: unknown): void;
}

const readBytes = 64 * 1024;

export class FrameSocket {
  #stream: ByteStream;
  #handlers: FrameSocketHandlers;
  readonly #outbox = new Outbox();
  #writing = false;
  #closed = false;
  readonly #inbox = new Inbox((frames) => this.#deliver(frames));

  constructor(stream: ByteStream, handlers: FrameSocketHandlers) {
    this.#stream = stream;
    this.#handlers = handlers;
    void this.#read();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Queues whole frames. After `close` they are dropped. */
  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.#closed) return;
    this.#outbox.push(bytes, at, end);
    if (!this.#writing) void this.#flush();
  }

  /** Closes at once; what has not been written is dropped. Idempotent. */
  close(cause?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#outbox.clear();
    try {
      this.#stream.close();
    } catch {
      // The other side's end may have closed it first.
    }
    this.#handlers.onClose(cause);
  }

  #deliver(frames: Uint8Array): void {
    forEachFrame(frames, (at, end) => {
      if (!this.#closed) this.#handlers.onFrame(frames, at, end);
    });
  }

  async #flush(): Promise<void> {
    this.#writing = true;
    try {
      while (!this.#closed) {
        const length = this.#outbox.plan();
        if (length === 0) break;
        const batch = new Uint8Array(length);
        this.#outbox.write(batch, 0);
        for (let at = 0; at < batch.length;) at += await this.#stream.write(batch.subarray(at));
      }
    } catch (thrown) {
      this.close(thrown);
    }
    this.#writing = false;
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(readBytes);
    try {
      for (;;) {
        const count = await this.#stream.read(buffer);
        if (count === null) break;
        this.#inbox.push(buffer.slice(0, count));
      }
    } catch (thrown) {
      return this.close(thrown);
    }
    this.close();
  }
}

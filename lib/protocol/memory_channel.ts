/**
 * The channel seam in memory: two ends that hand each other copies in a later microtask. For tests and the
 * simulator; `tests/conformance/channel_test.ts` holds it to what the WebSocket does.
 */
import type { Channel, ChannelClose, ChannelHandlers } from "./channel.ts";
import { asSqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { Inbox } from "./inbox.ts";
import { freeFrame } from "./large_frames.ts";
import { CloseCode } from "./rfc6455.ts";

type Item = { kind: "control"; text: string } | { kind: "frames"; bytes: Uint8Array };

class MemoryChannel implements Channel {
  readonly remoteAddress: string;
  peer: MemoryChannel | null = null;
  #handlers: ChannelHandlers | null = null;
  #inbox: Item[] = [];
  #paused = false;
  #scheduled = false;
  #closed = false;
  #pendingClose: ChannelClose | null = null;
  #receivedBytes = 0;
  #malformed = false;
  readonly #frames = new Inbox({
    deliver: (frames) => this.#handlers!.onFrames(frames),
    onTaken() {},
    tellTaken() {},
  });

  constructor(remoteAddress: string) {
    this.remoteAddress = remoteAddress;
  }

  /** What the peer has not taken yet. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const item of this.peer?.inbox ?? []) {
      bytes += item.kind === "frames" ? item.bytes.length : item.text.length;
    }
    return bytes;
  }

  get jammed(): boolean {
    return this.bufferedBytes > limits.sendBufferBytesHigh;
  }

  get inbox(): readonly Item[] {
    return this.#inbox;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get readingPaused(): boolean {
    return this.#paused;
  }

  get closed(): boolean {
    return this.#closed || this.#pendingClose !== null;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#schedule();
  }

  sendControl(text: string): void {
    if (!this.closed) this.peer?.receive({ kind: "control", text });
  }

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (!this.closed) this.peer?.receive({ kind: "frames", bytes: bytes.slice(at, end) });
  }

  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void {
    freeFrame(bytes, at, end);
  }

  pauseReading(): void {
    this.#paused = true;
  }

  resumeReading(): void {
    this.#paused = false;
    this.#schedule();
  }

  close(code: number = CloseCode.normal, reason = ""): void {
    if (this.closed) return;
    this.peer?.receiveClose({ code, reason });
    this.receiveClose({ code, reason });
  }

  abandon(reason: string): void {
    if (this.closed) return;
    this.#inbox = [];
    this.#paused = false;
    this.peer?.receiveClose({ code: CloseCode.abnormal, reason: "the connection broke" });
    this.receiveClose({ code: CloseCode.abnormal, reason });
  }

  receive(item: Item): void {
    if (this.closed) return;
    this.#receivedBytes += item.kind === "frames" ? item.bytes.length : item.text.length;
    this.#inbox.push(item);
    this.#schedule();
  }

  receiveClose(close: ChannelClose): void {
    if (this.closed) return;
    this.#pendingClose = close;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#handlers) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const handlers = this.#handlers!;
    while (!this.#paused && this.#inbox.length > 0) {
      const item = this.#inbox.shift()!;
      if (item.kind === "control") handlers.onControl(item.text);
      else this.#deliverFrames(item.bytes);
    }
    if (this.#closed || this.#pendingClose === null || this.#inbox.length > 0) return;
    this.#closed = true;
    handlers.onClose(this.#pendingClose);
  }

  #deliverFrames(bytes: Uint8Array): void {
    if (this.#malformed) return;
    try {
      this.#frames.push(bytes);
    } catch (thrown) {
      this.#malformed = true;
      const error = asSqwishError(thrown, "A frame");
      if (this.#handlers!.onMalformed) this.#handlers!.onMalformed(error);
      else this.close(CloseCode.policyViolation, error.message);
    }
  }
}

/** Two connected ends. What one sends, the other's handlers get. */
export function createMemoryChannelPair(
  addresses: { left?: string; right?: string } = {},
): { left: Channel; right: Channel } {
  const left = new MemoryChannel(addresses.right ?? "memory:right");
  const right = new MemoryChannel(addresses.left ?? "memory:left");
  left.peer = right;
  right.peer = left;
  return { left, right };
}

/**
 * The channel over a WebSocket: server side on an upgraded `node:https` socket, dialling side on `Deno.startTls`.
 * Frames gather while one write is under way and leave together as one binary message, so batches grow with the
 * load by themselves. The manager
 * does not read from a peer that does not read; one that never catches up is dropped.
 */
import { limits } from "../limits.ts";
import type { Channel, ChannelClose, ChannelHandlers } from "./channel.ts";
import {
  CloseCode,
  closePayload,
  encodeWebSocketFrame,
  headerLength,
  MessageParser,
  Opcode,
  WireError,
  writeHeader,
} from "./rfc6455.ts";

/** A connected, encrypted byte stream; what differs between the two sides. */
export interface ByteStream {
  readonly remoteAddress: string;
  /** Delivers chunks, which become the receiver's, until `onEnd`, which is called once. */
  start(onData: (chunk: Uint8Array) => void, onEnd: (reason: string) => void): void;
  /** Resolves when the bytes have been handed to the operating system; rejects when they can't be. */
  write(bytes: Uint8Array): Promise<void>;
  pause(): void;
  resume(): void;
  destroy(): void;
}

/**
 * Why a stream broke, in words for people: a peer that dies cannot take leave of TLS, which rustls reports with an
 * address of its manual.
 */
export function describeLoss(error: Error): string {
  return error.message.includes("close_notify") ? "the connection broke off" : error.message;
}

/** One message to be: a control text, or a run of frames. */
interface Outgoing {
  opcode: number;
  chunks: Uint8Array[];
  bytes: number;
}

const closeGraceMs = 1000;
const encoder = new TextEncoder();

export class WebSocketChannel implements Channel {
  readonly #stream: ByteStream;
  readonly #masks: boolean;
  readonly #sheds: boolean;
  readonly #parser: MessageParser;
  #handlers: ChannelHandlers | null = null;
  #outgoing: Outgoing[] = [];
  #outgoingBytes = 0;
  #writingBytes = 0;
  #receivedBytes = 0;
  #flushScheduled = false;
  #overHigh = false;
  #pausedByOwner = false;
  /** Chunks that arrived after reading was paused; nothing is delivered to a paused owner. */
  #held: Uint8Array[] = [];
  #close: ChannelClose | null = null;
  #ended = false;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;

  /**
   * `side` decides masking: a client masks, a server demands it. Only the server stops reading from who does not
   * read: if both sides did, each could wait for the other.
   */
  constructor(stream: ByteStream, side: "client" | "server") {
    this.#stream = stream;
    this.#masks = side === "client";
    this.#sheds = side === "server";
    this.#parser = new MessageParser({
      expectMasked: side === "server",
      messageBytesMax: limits.messageBytesMax,
    });
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress;
  }

  get bufferedBytes(): number {
    return this.#outgoingBytes + this.#writingBytes;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get closed(): boolean {
    return this.#ended || this.#close !== null;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#stream.start((chunk) => this.#receive(chunk), (reason) => this.#end(CloseCode.abnormal, reason));
  }

  sendControl(text: string): void {
    if (this.closed) return;
    const bytes = encoder.encode(text);
    this.#enqueue(Opcode.text, bytes);
  }

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.closed) return;
    this.#enqueue(Opcode.binary, bytes.subarray(at, end));
  }

  pauseReading(): void {
    this.#pausedByOwner = true;
    this.#stream.pause();
  }

  resumeReading(): void {
    this.#pausedByOwner = false;
    this.#resumeWhenFree();
  }

  close(code: number = CloseCode.normal, reason = ""): void {
    if (this.closed) return;
    this.#close = { code, reason };
    this.#outgoing.push({
      opcode: Opcode.close,
      chunks: [closePayload(code, reason)],
      bytes: 2 + reason.length,
    });
    this.#scheduleFlush();
    this.#stream.resume();
    this.#graceTimer = setTimeout(() => this.#end(code, reason), closeGraceMs);
  }

  abandon(reason: string): void {
    this.#end(CloseCode.abnormal, reason);
  }

  #enqueue(opcode: number, bytes: Uint8Array): void {
    const last = this.#outgoing.at(-1);
    if (
      opcode === Opcode.binary && last?.opcode === Opcode.binary &&
      last.bytes + bytes.length <= limits.batchBytesMax
    ) {
      last.chunks.push(bytes);
      last.bytes += bytes.length;
    } else {
      this.#outgoing.push({ opcode, chunks: [bytes], bytes: bytes.length });
    }
    this.#outgoingBytes += bytes.length;
    if (this.bufferedBytes > limits.sendBufferBytesMax) {
      this.#end(
        CloseCode.policyViolation,
        `the peer does not read: ${this.bufferedBytes} bytes are waiting for it`,
      );
      return;
    }
    if (this.#sheds && !this.#overHigh && this.bufferedBytes > limits.sendBufferBytesHigh) {
      this.#overHigh = true;
      this.#stream.pause();
    }
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#writingBytes > 0) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      void this.#flush();
    });
  }

  /** Writes until nothing is left; there is never more than one write under way. */
  async #flush(): Promise<void> {
    while (this.#outgoing.length > 0 && !this.#ended && this.#writingBytes === 0) {
      const bytes = this.#takeBatch();
      this.#writingBytes = bytes.length;
      try {
        await this.#stream.write(bytes);
      } catch (thrown) {
        this.#writingBytes = 0;
        this.#end(CloseCode.abnormal, thrown instanceof Error ? thrown.message : String(thrown));
        return;
      }
      this.#writingBytes = 0;
    }
    if (this.#overHigh && this.bufferedBytes === 0) {
      this.#overHigh = false;
      this.#resumeWhenFree();
      this.#handlers?.onDrain?.();
    }
  }

  /** Everything queued, up to the batch size, as the bytes of one write. */
  #takeBatch(): Uint8Array {
    let length = 0;
    let taken = 0;
    for (const message of this.#outgoing) {
      if (taken > 0 && length + message.bytes > limits.batchBytesMax) break;
      length += headerLength(message.bytes, this.#masks) + message.bytes;
      taken++;
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const message of this.#outgoing.splice(0, taken)) {
      at = writeHeader(bytes, at, message.opcode, message.bytes, this.#masks);
      for (const chunk of message.chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      if (message.opcode !== Opcode.close) this.#outgoingBytes -= message.bytes;
    }
    return bytes;
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.#receivedBytes += chunk.length;
    if (this.#pausedByOwner && this.#close === null) {
      this.#held.push(chunk);
      return;
    }
    try {
      this.#parser.push(chunk, {
        onText: (text) => this.#deliver(() => this.#handlers!.onControl(text)),
        onBinary: (bytes) => this.#deliver(() => this.#handlers!.onFrames(bytes)),
        onPing: (payload) =>
          void this.#stream.write(encodeWebSocketFrame(Opcode.pong, payload, this.#masks)).catch(() => {}),
        onClose: (code, reason) => this.#receiveClose(code, reason),
      });
    } catch (thrown) {
      if (!(thrown instanceof WireError)) throw thrown;
      this.close(thrown.closeCode, thrown.message);
    }
  }

  #deliver(action: () => void): void {
    if (!this.closed) action();
  }

  #receiveClose(code: number, reason: string): void {
    if (this.#ended) return;
    const close = this.#close ?? { code, reason };
    if (this.#close !== null) return this.#end(close.code, close.reason);
    this.#close = close;
    const answer = encodeWebSocketFrame(Opcode.close, closePayload(CloseCode.normal, ""), this.#masks);
    const end = () => this.#end(close.code, close.reason);
    this.#stream.write(answer).then(end, end);
  }

  #resumeWhenFree(): void {
    if (this.#pausedByOwner || this.#overHigh || this.#ended) return;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#receive(chunk);
    if (!this.#pausedByOwner) this.#stream.resume();
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#graceTimer);
    const close = this.#close ?? { code, reason };
    this.#close = close;
    this.#outgoing = [];
    this.#outgoingBytes = 0;
    this.#held = [];
    this.#stream.destroy();
    queueMicrotask(() => this.#handlers?.onClose(close));
  }
}

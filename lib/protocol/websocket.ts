/**
 * The channel over a WebSocket (RFC 6455), on either side of a TLS connection.
 * Frames gather while one write is under way and leave together as one binary message, so batches grow with the
 * load by themselves. The manager does not read from a peer that does not read, and drops one that never does.
 */
import { type Clock, createSystemClock } from "../clock.ts";
import { asSqwishError, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel, ChannelClose, ChannelHandlers } from "./channel.ts";
import { encodeFrame, Op } from "./frame.ts";
import { Inbox } from "./inbox.ts";
import { Outbox } from "./outbox.ts";
import {
  CloseCode,
  closePayload,
  encodeWebSocketFrame,
  headerLength,
  MessageParser,
  type MessageSink,
  Opcode,
  WireError,
  writeHeader,
} from "./rfc6455.ts";

/** A connected, encrypted byte stream. */
export interface ByteStream {
  readonly remoteAddress: string;
  /**
   * Delivers chunks until `onEnd`, which is called once. A chunk becomes the receiver's, unless `onData` returns true:
   * then its bytes may be overwritten.
   */
  start(onData: (chunk: Uint8Array) => boolean | void, onEnd: (reason: string) => void): void;
  /** Resolves when the bytes are needed no more and may be overwritten; rejects when they can't be sent. */
  write(bytes: Uint8Array): Promise<void>;
  pause(): void;
  resume(): void;
  destroy(): void;
}

export interface WebSocketSide {
  /** A client masks, a server demands it. */
  side: "client" | "server";
  /** The peer's writes wait for acknowledgements: each is answered at once, with a pong where nothing else goes. */
  acknowledges?: boolean;
  /** For simulated time. */
  clock?: Pick<Clock, "monotonicMs">;
}

const closeGraceMs = 1000;
/** After so many small writes in a row a connection keeps no more than this for its next batch. */
const quietBatchBytesMax = 32 * 1024;
const quietWritesMax = 16;
const noBytes = new Uint8Array(0);
const encoder = new TextEncoder();

export class WebSocketChannel implements Channel, MessageSink {
  readonly #stream: ByteStream;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #masks: boolean;
  readonly #sheds: boolean;
  readonly #acknowledges: boolean;
  readonly #parser: MessageParser;
  readonly #inbox = new Inbox({
    deliver: (frames) => this.#deliverFrames(frames),
    onTaken: (bytes) => this.#onTaken(bytes),
    tellTaken: (bytes) => this.sendFrames(encodeFrame({ op: Op.taken, id: 0, a: bytes })),
  });
  readonly #outbox: Outbox;
  #handlers: ChannelHandlers | null = null;
  /** Control messages and pongs, as frames of RFC 6455; they go before what the outbox holds. */
  #urgent: Uint8Array[] = [];
  #urgentBytes = 0;
  /** Sent once everything else has gone. */
  #closeFrame: Uint8Array | null = null;
  /** The peer has said goodbye: nothing remains but to answer. */
  #endsWithClose = false;
  /** What is being written, in a buffer that every write uses again. */
  #batch = noBytes;
  /** In a row, far smaller than the buffer. */
  #quietWrites = 0;
  #writingBytes = 0;
  #writesDone = 0;
  #receivedBytes = 0;
  #flushScheduled = false;
  #jammed = false;
  /** While it is jammed: when the peer last took something. */
  #takenAtMs = 0;
  /** Nothing is read because the peer reads nothing. */
  #shedding = false;
  #pausedByOwner = false;
  #malformed = false;
  /** Of the chunk that is being read something has been delivered. */
  #handedOn = false;
  /** Chunks that arrived after reading was paused; nothing is delivered to a paused owner. */
  #held: Uint8Array[] = [];
  #close: ChannelClose | null = null;
  #ended = false;
  #graceTimer: ReturnType<typeof setTimeout> | undefined;

  /** Only the server stops reading from who does not read: if both sides did, each could wait for the other. */
  constructor(
    stream: ByteStream,
    { side, acknowledges = false, clock = createSystemClock() }: WebSocketSide,
  ) {
    this.#stream = stream;
    this.#clock = clock;
    this.#outbox = new Outbox(clock);
    this.#acknowledges = acknowledges;
    this.#masks = side === "client";
    this.#sheds = side === "server";
    const { messageBytesMax } = limits;
    this.#parser = new MessageParser({ expectMasked: side === "server", messageBytesMax });
  }

  get remoteAddress(): string {
    return this.#stream.remoteAddress;
  }

  get bufferedBytes(): number {
    return this.#urgentBytes + this.#outbox.bytes + this.#writingBytes;
  }

  get jammed(): boolean {
    return this.#jammed;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get readingPaused(): boolean {
    return this.#pausedByOwner || this.#shedding;
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
    this.#sendUrgent(Opcode.text, encoder.encode(text));
  }

  sendFrames(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (this.closed) return;
    this.#outbox.push(bytes, at, end);
    this.#sent();
  }

  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void {
    this.#outbox.freeWhenWritten(bytes, at, end);
  }

  pauseReading(): void {
    this.#pausedByOwner = true;
    this.#stream.pause();
  }

  resumeReading(): void {
    this.#pausedByOwner = false;
    this.#resumeWhenFree();
  }

  close(code: number = CloseCode.normal, reason = "", transferMsMax = 0): void {
    if (this.closed) return;
    this.#close = { code, reason };
    this.#closeFrame = encodeWebSocketFrame(Opcode.close, closePayload(code, reason), this.#masks);
    this.#scheduleFlush();
    this.#stream.resume();
    this.#waitForClose(this.#clock.monotonicMs() + transferMsMax);
  }

  /** Until the peer has said goodbye, too; before `untilMs` for as long as it takes what waits for it. */
  #waitForClose(untilMs: number): void {
    const before = this.#writesDone;
    const mayWait = this.#clock.monotonicMs() < untilMs && this.bufferedBytes > 0;
    this.#graceTimer = setTimeout(() => {
      if (mayWait && this.#writesDone > before) this.#waitForClose(untilMs);
      else this.#end(CloseCode.abnormal, "");
    }, mayWait ? limits.sendStallMsMax : closeGraceMs);
  }

  abandon(reason: string): void {
    this.#end(CloseCode.abnormal, reason);
  }

  #sendUrgent(opcode: number, payload: Uint8Array): void {
    const bytes = encodeWebSocketFrame(opcode, payload, this.#masks);
    this.#urgent.push(bytes);
    this.#urgentBytes += bytes.length;
    this.#sent();
  }

  #sent(): void {
    const buffered = this.bufferedBytes;
    if (buffered > limits.sendBufferBytesHigh) this.#sentMuch(buffered);
    if (!this.#flushScheduled && this.#writingBytes === 0) this.#scheduleFlush();
  }

  #sentMuch(buffered: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#jammed) this.#takenAtMs = nowMs;
    this.#jammed = true;
    const isStalled = nowMs - this.#takenAtMs > limits.sendStallMsMax;
    if (buffered > (isStalled ? limits.sendBufferBytesMax : limits.sendBufferBytesSlowMax)) {
      const reason = `the peer ${isStalled ? "does not read" : "is too slow"}`;
      return this.#end(CloseCode.policyViolation, `${reason}: ${buffered} bytes are waiting for it`);
    }
    if (!this.#sheds || this.#shedding || this.#smallBytes <= limits.sendBufferBytesHigh) return;
    this.#shedding = true;
    this.#stream.pause();
  }

  /** Without what waits in chunks: for that the peer must be read from, since it tells what it has taken. */
  get #smallBytes(): number {
    return this.bufferedBytes - this.#outbox.largeBytes;
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#writingBytes > 0 || this.#ended) return;
    this.#flushScheduled = true;
    queueMicrotask(() => {
      this.#flushScheduled = false;
      void this.#flush();
    });
  }

  /** Writes until nothing is left; there is never more than one write under way. */
  async #flush(): Promise<void> {
    while (!this.#ended && this.#writingBytes === 0) {
      const bytes = this.#takeBatch();
      if (bytes === null) {
        if (this.#endsWithClose) this.#end(this.#close!.code, this.#close!.reason);
        return;
      }
      this.#writingBytes = bytes.length;
      try {
        await this.#stream.write(bytes);
      } catch (thrown) {
        this.#writingBytes = 0;
        this.#end(CloseCode.abnormal, thrown instanceof Error ? thrown.message : String(thrown));
        return;
      }
      this.#writingBytes = 0;
      this.#writesDone++;
      if (this.#jammed) this.#drain();
    }
  }

  #drain(): void {
    this.#takenAtMs = this.#clock.monotonicMs();
    if (this.#shedding && this.#smallBytes < limits.sendBufferBytesLow) {
      this.#shedding = false;
      this.#resumeWhenFree();
    }
    if (this.bufferedBytes >= limits.sendBufferBytesLow) return;
    this.#jammed = false;
    if (!this.closed) this.#handlers?.onDrain?.();
  }

  /** The bytes of one write; null: nothing waits. */
  #takeBatch(): Uint8Array | null {
    const frameBytes = this.#outbox.plan();
    const messageBytes = frameBytes === 0 ? 0 : headerLength(frameBytes, this.#masks) + frameBytes;
    if (messageBytes + this.#urgentBytes === 0) {
      // Chunks that wait for their turn go before the close, too.
      if (this.#outbox.bytes > 0) return null;
      const last = this.#closeFrame;
      this.#closeFrame = null;
      return last;
    }
    const length = this.#urgentBytes + messageBytes;
    const bytes = this.#batch = this.#roomFor(length);
    let at = 0;
    for (const frame of this.#urgent) {
      bytes.set(frame, at);
      at += frame.length;
    }
    this.#urgent = [];
    this.#urgentBytes = 0;
    if (frameBytes > 0) {
      at = writeHeader(bytes, at, Opcode.binary, frameBytes, this.#masks);
      this.#outbox.write(bytes, at);
    }
    return bytes.length === length ? bytes : bytes.subarray(0, length);
  }

  /** The buffer of the last batch, unless it is too small, or has long been far too large. */
  #roomFor(length: number): Uint8Array<ArrayBuffer> {
    const kept = this.#batch.length;
    if (kept > quietBatchBytesMax && length < kept / 8) this.#quietWrites++;
    else this.#quietWrites = 0;
    if (kept < length) return new Uint8Array(Math.max(length, 2 * kept));
    return this.#quietWrites < quietWritesMax ? this.#batch : new Uint8Array(length);
  }

  /** True when nothing refers to the chunk any more. */
  #receive(chunk: Uint8Array): boolean {
    if (this.#ended) return true;
    this.#receivedBytes += chunk.length;
    if (this.#pausedByOwner && this.#close === null) {
      this.#held.push(chunk);
      return false;
    }
    this.#handedOn = false;
    try {
      this.#parser.push(chunk, this);
    } catch (thrown) {
      if (!(thrown instanceof WireError)) throw thrown;
      this.close(thrown.closeCode, thrown.message);
    }
    if (this.#acknowledges && !this.#flushScheduled && this.#writingBytes === 0 && !this.closed) {
      this.#sendUrgent(Opcode.pong, noBytes);
    }
    return !this.#handedOn && this.#parser.keepsNothing;
  }

  // What the parser finds:
  onText(text: string): void {
    if (!this.closed) this.#handlers!.onControl(text);
  }

  onBinary(piece: Uint8Array): void {
    // After `close` there is still to be heard what the peer has taken.
    if (this.#ended || this.#malformed) return;
    try {
      if (!this.#inbox.push(piece)) this.#handedOn = true;
    } catch (thrown) {
      this.#handedOn = true;
      this.#refuse(thrown);
    }
  }

  onBinaryEnd(): void {
    if (this.#inbox.isBetweenFrames || this.closed || this.#malformed) return;
    this.#refuse(new SqwishError("invalid_request", "A message must hold whole frames, its last one is cut"));
  }

  onPing(payload: Uint8Array): void {
    if (!this.closed) this.#sendUrgent(Opcode.pong, payload);
  }

  onClose(code: number, reason: string): void {
    if (this.#ended) return;
    const close = this.#close ?? { code, reason };
    if (this.#close !== null) return this.#end(close.code, close.reason);
    this.#close = close;
    this.#clear();
    this.#closeFrame = encodeWebSocketFrame(Opcode.close, closePayload(CloseCode.normal, ""), this.#masks);
    this.#endsWithClose = true;
    this.#scheduleFlush();
  }

  #onTaken(bytes: number): void {
    this.#outbox.taken(bytes);
    this.#scheduleFlush();
  }

  #deliverFrames(frames: Uint8Array): void {
    if (!this.closed) this.#handlers!.onFrames(frames);
  }

  #refuse(thrown: unknown): void {
    this.#malformed = true;
    const error = asSqwishError(thrown, "A frame");
    if (this.#handlers?.onMalformed) this.#handlers.onMalformed(error);
    else this.close(CloseCode.policyViolation, error.message);
  }

  #resumeWhenFree(): void {
    if (this.#pausedByOwner || this.#shedding || this.#ended) return;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#receive(chunk);
    if (!this.#pausedByOwner) this.#stream.resume();
  }

  #clear(): void {
    this.#urgent = [];
    this.#urgentBytes = 0;
    this.#outbox.clear();
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#graceTimer);
    const close = this.#close ?? { code, reason };
    this.#close = close;
    this.#clear();
    this.#held = [];
    this.#stream.destroy();
    queueMicrotask(() => this.#handlers?.onClose(close));
  }
}

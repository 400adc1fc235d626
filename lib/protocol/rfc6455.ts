/**
 * The WebSocket wire format (RFC 6455, sections 5 and 7.4) without I/O: bytes in, messages out.
 * Our own because a write of the built-in server socket can't be awaited, so nothing tells when to gather more.
 * Texts are delivered whole, binary messages piece by piece as they arrive, since they hold frames of their own.
 * Invariant: a message is at most `messageBytesMax` long, or the connection fails.
 */
import { concatBytes } from "./frame.ts";

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export const CloseCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  internalError: 1011,
} as const;

/** A peer's violation of RFC 6455; the connection closes with `closeCode`. */
export class WireError extends Error {
  override readonly name = "WireError";
  constructor(readonly closeCode: number, message: string) {
    super(message);
  }
}

/** Bytes a frame's header takes for a payload of `length`. */
export function headerLength(length: number, masked: boolean): number {
  return (length < 126 ? 2 : length < 0x1_0000 ? 4 : 10) + (masked ? 4 : 0);
}

/**
 * Writes one unfragmented frame's header into `into` at `at`; returns where the payload starts.
 * A client's mask key is zero: masking guards shared caches against scripts in browsers, neither of
 * which exists here, inside TLS, and a zero key costs no pass over the payload.
 */
export function writeHeader(
  into: Uint8Array,
  at: number,
  opcode: number,
  length: number,
  masked: boolean,
): number {
  const maskBit = masked ? 0x80 : 0;
  into[at] = 0x80 | opcode;
  let end: number;
  if (length < 126) {
    into[at + 1] = maskBit | length;
    end = at + 2;
  } else if (length < 0x1_0000) {
    into[at + 1] = maskBit | 126;
    into[at + 2] = length >>> 8;
    into[at + 3] = length;
    end = at + 4;
  } else {
    into[at + 1] = maskBit | 127;
    into.fill(0, at + 2, at + 6);
    into[at + 6] = length >>> 24;
    into[at + 7] = length >>> 16;
    into[at + 8] = length >>> 8;
    into[at + 9] = length;
    end = at + 10;
  }
  if (!masked) return end;
  into.fill(0, end, end + 4);
  return end + 4;
}

/** One control or data frame as bytes of its own. */
export function encodeWebSocketFrame(
  opcode: number,
  payload: Uint8Array,
  masked: boolean,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerLength(payload.length, masked) + payload.length);
  bytes.set(payload, writeHeader(bytes, 0, opcode, payload.length, masked));
  return bytes;
}

/** Payload of a close frame: the code, then the reason cut to 120 bytes of UTF-8. */
export function closePayload(code: number, reason: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(reason);
  let end = Math.min(text.length, 120);
  while (end > 0 && end < text.length && (text[end] & 0xc0) === 0x80) end--;
  const payload = new Uint8Array(2 + end);
  payload[0] = code >>> 8;
  payload[1] = code;
  payload.set(text.subarray(0, end), 2);
  return payload;
}

export interface MessageSink {
  onText(text: string): void;
  /** The next bytes of a binary message, the receiver's to keep. */
  onBinary(piece: Uint8Array): void;
  /** The binary message is over. */
  onBinaryEnd(): void;
  onPing(payload: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

const headerBytesMax = 14;
const utf8 = new TextDecoder("utf-8", { fatal: true });
const noBytes = new Uint8Array(0);

/** Finds messages in a byte stream. Throws `WireError`; nothing may be pushed after that. */
export class MessageParser {
  readonly #expectMasked: boolean;
  readonly #messageBytesMax: number;
  /** A header that is cut. */
  readonly #cutHeader = new Uint8Array(headerBytesMax);
  #cutHeaderBytes = 0;
  /** The frame whose payload is being read. */
  #inFrame = false;
  #opcode = 0;
  #final = false;
  #remainingBytes = 0;
  #mask = noBytes;
  #maskAt = 0;
  /** Of the message that is not over; 0: none. Control frames may come inside of it. */
  #messageOpcode = 0;
  #messageBytes = 0;
  /** The first `#textBytes` are what has come of a text. */
  #text: Uint8Array = noBytes;
  #textBytes = 0;
  #control: Uint8Array[] = [];

  constructor(options: { expectMasked: boolean; messageBytesMax: number }) {
    this.#expectMasked = options.expectMasked;
    this.#messageBytesMax = options.messageBytesMax;
  }

  /** No piece of a chunk is kept for the rest of its message. */
  get keepsNothing(): boolean {
    return this.#control.length === 0;
  }

  /** What is delivered are views into the chunk. */
  push(chunk: Uint8Array, sink: MessageSink): void {
    let at = 0;
    while (at < chunk.length) {
      if (!this.#inFrame) {
        at = this.#readHeader(chunk, at);
        if (!this.#inFrame) return;
      }
      const end = Math.min(chunk.length, at + this.#remainingBytes);
      if (at < end) this.#take(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end), sink);
      at = end;
      if (this.#remainingBytes === 0) this.#endFrame(sink);
    }
  }

  /** Reads a header that starts at `at`, or goes on there; returns where it ends. */
  #readHeader(chunk: Uint8Array, at: number): number {
    if (this.#cutHeaderBytes === 0) {
      const length = headerLengthAt(chunk, at, chunk.length);
      if (length > 0) {
        this.#begin(chunk, at, length);
        return at + length;
      }
    }
    while (at < chunk.length) {
      this.#cutHeader[this.#cutHeaderBytes++] = chunk[at++];
      const length = headerLengthAt(this.#cutHeader, 0, this.#cutHeaderBytes);
      if (length === 0) continue;
      this.#cutHeaderBytes = 0;
      this.#begin(this.#cutHeader, 0, length);
      break;
    }
    return at;
  }

  #begin(bytes: Uint8Array, at: number, headerLength: number): void {
    const first = bytes[at];
    const second = bytes[at + 1];
    if ((first & 0x70) !== 0) throw new WireError(CloseCode.protocolError, "a reserved bit is set");
    const masked = (second & 0x80) !== 0;
    if (masked !== this.#expectMasked) throw new WireError(CloseCode.protocolError, "the mask bit is wrong");
    const keyAt = at + headerLength - (masked ? 4 : 0);
    let length = second & 0x7f;
    if (length > 125) {
      length = 0;
      for (let i = at + 2; i < keyAt; i++) length = length * 256 + bytes[i];
    }
    this.#opcode = first & 0x0f;
    this.#final = (first & 0x80) !== 0;
    this.#remainingBytes = length;
    this.#maskAt = 0;
    const isKey = masked && (bytes[keyAt] | bytes[keyAt + 1] | bytes[keyAt + 2] | bytes[keyAt + 3]) !== 0;
    this.#mask = isKey ? bytes.slice(keyAt, keyAt + 4) : noBytes;
    this.#inFrame = true;
    if (this.#opcode >= Opcode.close) this.#checkControl(length);
    else this.#beginData(length);
  }

  #checkControl(length: number): void {
    if (!this.#final || length > 125) {
      throw new WireError(CloseCode.protocolError, "a control frame is fragmented or over 125 bytes");
    }
    if (this.#opcode > Opcode.pong) {
      throw new WireError(CloseCode.protocolError, `opcode ${this.#opcode} is unknown`);
    }
  }

  #beginData(length: number): void {
    if (this.#opcode > Opcode.binary) {
      throw new WireError(CloseCode.protocolError, `opcode ${this.#opcode} is unknown`);
    }
    if (this.#opcode === Opcode.continuation) {
      if (this.#messageOpcode === 0) {
        throw new WireError(CloseCode.protocolError, "a continuation of nothing");
      }
    } else {
      if (this.#messageOpcode !== 0) {
        throw new WireError(CloseCode.protocolError, "a message starts inside another");
      }
      this.#messageOpcode = this.#opcode;
      this.#messageBytes = 0;
    }
    this.#messageBytes += length;
    if (this.#messageBytes > this.#messageBytesMax) {
      throw new WireError(CloseCode.tooBig, `a message takes at most ${this.#messageBytesMax} bytes`);
    }
  }

  #take(piece: Uint8Array, sink: MessageSink): void {
    this.#remainingBytes -= piece.length;
    const key = this.#mask;
    if (key.length > 0) {
      for (let i = 0; i < piece.length; i++) piece[i] ^= key[this.#maskAt++ & 3];
    }
    if (this.#opcode >= Opcode.close) this.#control.push(piece);
    else if (this.#messageOpcode === Opcode.binary) sink.onBinary(piece);
    else this.#takeText(piece);
  }

  /** One that comes in one piece, as nearly all do, is not copied; of others no piece is kept, however many there are. */
  #takeText(piece: Uint8Array): void {
    const bytes = this.#textBytes + piece.length;
    if (this.#textBytes === 0 && this.#final && this.#remainingBytes === 0) {
      this.#text = piece;
    } else {
      if (bytes > this.#text.length) {
        const grown = new Uint8Array(Math.max(bytes, 2 * this.#text.length));
        grown.set(this.#text.subarray(0, this.#textBytes));
        this.#text = grown;
      }
      this.#text.set(piece, this.#textBytes);
    }
    this.#textBytes = bytes;
  }

  #endFrame(sink: MessageSink): void {
    this.#inFrame = false;
    if (this.#opcode >= Opcode.close) {
      const payload = concatBytes(this.#control);
      this.#control = [];
      if (this.#opcode === Opcode.ping) sink.onPing(payload);
      else if (this.#opcode === Opcode.close) deliverClose(payload, sink);
      return;
    }
    if (!this.#final) return;
    const opcode = this.#messageOpcode;
    this.#messageOpcode = 0;
    if (opcode === Opcode.binary) return sink.onBinaryEnd();
    const payload = this.#text.subarray(0, this.#textBytes);
    this.#text = noBytes;
    this.#textBytes = 0;
    sink.onText(decodeText(payload));
  }
}

/** The length of the header at `at`, 0 when it is not whole before `end`. */
function headerLengthAt(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < 2) return 0;
  const short = bytes[at + 1] & 0x7f;
  const length = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + ((bytes[at + 1] & 0x80) !== 0 ? 4 : 0);
  return end - at < length ? 0 : length;
}

function deliverClose(payload: Uint8Array, sink: MessageSink): void {
  if (payload.length < 2) return sink.onClose(1005, "");
  sink.onClose((payload[0] << 8) | payload[1], new TextDecoder().decode(payload.subarray(2)));
}

function decodeText(payload: Uint8Array): string {
  try {
    return utf8.decode(payload);
  } catch {
    throw new WireError(CloseCode.invalidPayload, "a text message is not UTF-8");
  }
}

/**
 * The WebSocket wire format (RFC 6455, sections 5 and 7.4) without I/O: bytes in, messages out.
 * Our own because the built-in server socket can't switch off Nagle's algorithm over TLS (docs/decisions/0001).
 * Invariant: a message is delivered whole and at most `messageBytesMax` long, or the connection fails.
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
  onBinary(bytes: Uint8Array): void;
  onPing(payload: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

interface FrameHeader {
  final: boolean;
  opcode: number;
  length: number;
  masked: boolean;
  payloadAt: number;
}

/** Finds messages in a byte stream. Throws `WireError`; nothing may be pushed after that. */
export class MessageParser {
  readonly #expectMasked: boolean;
  readonly #messageBytesMax: number;
  /** Bytes of a frame that is not whole yet, and how many it needs before parsing is worth another try. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #neededBytes = 2;
  /** Parts of a fragmented message. */
  #fragments: Uint8Array[] = [];
  #fragmentBytes = 0;
  #fragmentOpcode = 0;

  constructor(options: { expectMasked: boolean; messageBytesMax: number }) {
    this.#expectMasked = options.expectMasked;
    this.#messageBytesMax = options.messageBytesMax;
  }

  /** The chunk's bytes become the receiver's: messages that lie whole in it are views into it. */
  push(chunk: Uint8Array, sink: MessageSink): void {
    let bytes = chunk;
    if (this.#pendingBytes > 0) {
      this.#pending.push(chunk);
      this.#pendingBytes += chunk.length;
      if (this.#pendingBytes < this.#neededBytes) return;
      bytes = concatBytes(this.#pending);
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    let at = 0;
    while (at < bytes.length) {
      const header = this.#readHeader(bytes, at);
      if (header === null) break;
      const end = header.payloadAt + header.length;
      if (end > bytes.length) {
        this.#neededBytes = end - at;
        break;
      }
      this.#deliver(header, this.#payload(bytes, header, end), sink);
      this.#neededBytes = 2;
      at = end;
    }
    if (at < bytes.length) {
      this.#pending = [at === 0 ? bytes : bytes.slice(at)];
      this.#pendingBytes = bytes.length - at;
    }
  }

  #readHeader(bytes: Uint8Array, at: number): FrameHeader | null {
    if (bytes.length - at < 2) {
      this.#neededBytes = 2;
      return null;
    }
    const first = bytes[at];
    const second = bytes[at + 1];
    if ((first & 0x70) !== 0) throw new WireError(CloseCode.protocolError, "a reserved bit is set");
    const masked = (second & 0x80) !== 0;
    if (masked !== this.#expectMasked) throw new WireError(CloseCode.protocolError, "the mask bit is wrong");
    const short = second & 0x7f;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    const payloadAt = at + 2 + lengthBytes + (masked ? 4 : 0);
    if (payloadAt > bytes.length) {
      this.#neededBytes = payloadAt - at;
      return null;
    }
    let length = short;
    if (lengthBytes > 0) {
      length = 0;
      for (let i = at + 2; i < at + 2 + lengthBytes; i++) length = length * 256 + bytes[i];
    }
    const opcode = first & 0x0f;
    const final = (first & 0x80) !== 0;
    if (opcode >= Opcode.close && (!final || length > 125)) {
      throw new WireError(CloseCode.protocolError, "a control frame is fragmented or over 125 bytes");
    }
    if (length + this.#fragmentBytes > this.#messageBytesMax) {
      throw new WireError(CloseCode.tooBig, `a message takes at most ${this.#messageBytesMax} bytes`);
    }
    return { final, opcode, length, masked, payloadAt };
  }

  #payload(bytes: Uint8Array, header: FrameHeader, end: number): Uint8Array {
    const payload = bytes.subarray(header.payloadAt, end);
    if (!header.masked) return payload;
    const key = bytes.subarray(header.payloadAt - 4, header.payloadAt);
    if ((key[0] | key[1] | key[2] | key[3]) === 0) return payload;
    for (let i = 0; i < payload.length; i++) payload[i] ^= key[i & 3];
    return payload;
  }

  #deliver(header: FrameHeader, payload: Uint8Array, sink: MessageSink): void {
    switch (header.opcode) {
      case Opcode.ping:
        return sink.onPing(payload);
      case Opcode.pong:
        return;
      case Opcode.close:
        return this.#deliverClose(payload, sink);
      case Opcode.text:
      case Opcode.binary:
        if (this.#fragmentOpcode !== 0) {
          throw new WireError(CloseCode.protocolError, "a message starts inside another");
        }
        if (header.final) return emit(header.opcode, payload, sink);
        this.#fragmentOpcode = header.opcode;
        return this.#addFragment(payload);
      case Opcode.continuation: {
        if (this.#fragmentOpcode === 0) {
          throw new WireError(CloseCode.protocolError, "a continuation of nothing");
        }
        this.#addFragment(payload);
        if (!header.final) return;
        const whole = concatBytes(this.#fragments);
        const opcode = this.#fragmentOpcode;
        this.#fragments = [];
        this.#fragmentBytes = 0;
        this.#fragmentOpcode = 0;
        return emit(opcode, whole, sink);
      }
      default:
        throw new WireError(CloseCode.protocolError, `opcode ${header.opcode} is unknown`);
    }
  }

  #addFragment(payload: Uint8Array): void {
    this.#fragments.push(payload);
    this.#fragmentBytes += payload.length;
  }

  #deliverClose(payload: Uint8Array, sink: MessageSink): void {
    if (payload.length < 2) return sink.onClose(1005, "");
    const code = (payload[0] << 8) | payload[1];
    sink.onClose(code, new TextDecoder().decode(payload.subarray(2)));
  }
}

function emit(opcode: number, payload: Uint8Array, sink: MessageSink): void {
  if (opcode === Opcode.binary) return sink.onBinary(payload);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
  } catch {
    throw new WireError(CloseCode.invalidPayload, "a text message is not UTF-8");
  }
  sink.onText(text);
}

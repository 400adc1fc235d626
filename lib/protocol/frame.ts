/**
 * Binary frames: client ↔ manager ↔ agent ↔ runner, byte for byte the same on every hop (docs/protocol.md).
 * A fixed header of 32 bytes, then name, meta (JSON, UTF-8) and body. All numbers are big-endian.
 * A hop rewrites `id`, `a` and `b` in place and never looks at the body.
 */
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { newFrame } from "./large_frames.ts";

export const headerBytes = 32;

/** Append-only. */
export const Op = {
  /** Runs an endpoint. name = endpoint, a = remaining ms, b = replica handle << 8 | attempt. */
  request: 1,
  /** Ends a request well. a = run time in µs, b = queue time in µs; of a call: b = HTTP status. */
  reply: 2,
  /** One part of a streamed reply. */
  part: 3,
  /** Ends a request with an error. meta = {code, message, details}. */
  error: 4,
  /** The requester gives up. a = why (`CancelReason`). */
  cancel: 5,
  /** The requester of a stream takes `a` more parts. */
  credit: 6,
  /** An API operation on the manager. name = "METHOD path", meta = {contentType}, a = remaining ms. */
  call: 7,
  /** Asks the manager for a module. name = its SHA-256 in hex. Answered by `reply`. */
  fetch: 8,
  /** Some bytes of a large frame, between two programs only. id = transfer, a = offset, b = the frame's length. */
  chunk: 9,
  /** So many bytes of chunks have been taken, between two programs only. a = bytes. */
  taken: 10,
} as const;
export type Op = (typeof Op)[keyof typeof Op];

/** Field `a` of `cancel`: what the module's signal is aborted with. */
export const CancelReason = {
  caller: 0,
  deadline: 1,
  /** The replica is being stopped and the time to drain is over; only from an agent to its runners. */
  drain: 2,
} as const;
export type CancelReason = (typeof CancelReason)[keyof typeof CancelReason];

export const Flag = {
  /** The body is bytes (application/octet-stream); otherwise it is JSON. */
  bytes: 1,
  /** Of a request: reply by parts. */
  stream: 2,
  /** Of a request: may be run again when its outcome is unknown. */
  idempotent: 4,
} as const;

export interface Frame {
  op: Op;
  flags: number;
  id: number;
  a: number;
  b: number;
  /** 8 bytes set by the manager at admission, as 16 hex digits; zeros before. */
  requestId: string;
  name: string;
  /** JSON text; empty for none. */
  meta: string;
  body: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const emptyBytes = new Uint8Array(0);
const noRequestId = "0000000000000000";

export type FrameParts = { op: Op; id: number } & Partial<Omit<Frame, "op" | "id">>;

/** A frame's bytes. Throws `too_large` over the limits of `limits.ts`. */
export function encodeFrame(parts: FrameParts): Uint8Array<ArrayBuffer> {
  const name = parts.name ? encoder.encode(parts.name) : emptyBytes;
  const meta = parts.meta ? encoder.encode(parts.meta) : emptyBytes;
  const body = parts.body ?? emptyBytes;
  checkBounds(name.length, meta.length, body.length);
  const length = headerBytes + name.length + meta.length + body.length;
  const bytes = newFrame(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  bytes[4] = parts.op;
  bytes[5] = parts.flags ?? 0;
  view.setUint16(6, name.length);
  view.setUint32(8, parts.id);
  view.setUint32(12, meta.length);
  view.setUint32(16, parts.a ?? 0);
  view.setUint32(20, parts.b ?? 0);
  setFrameRequestId(bytes, 0, 0, 0);
  if (parts.requestId) writeRequestId(bytes, 0, parts.requestId);
  bytes.set(name, headerBytes);
  bytes.set(meta, headerBytes + name.length);
  bytes.set(body, headerBytes + name.length + meta.length);
  return bytes;
}

/** Writes a frame's header; what comes behind it is the caller's to write. The request id is left empty. */
export function writeFrameHeader(
  into: Uint8Array,
  at: number,
  length: number,
  op: Op,
  flags: number,
  id: number,
  a: number,
  b: number,
  nameBytes = 0,
  metaBytes = 0,
): void {
  writeUint32(into, at, length);
  into[at + 4] = op;
  into[at + 5] = flags;
  into[at + 6] = nameBytes >>> 8;
  into[at + 7] = nameBytes;
  writeUint32(into, at + 8, id);
  writeUint32(into, at + 12, metaBytes);
  writeUint32(into, at + 16, a);
  writeUint32(into, at + 20, b);
  setFrameRequestId(into, at, 0, 0);
}

/** A loop is faster than a call into the runtime for texts up to about this long. */
const loopCharactersMax = 48;

/** Writes text in UTF-8 and returns where it ends. There must be room for three bytes per character. */
export function writeText(into: Uint8Array, at: number, text: string): number {
  if (text.length <= loopCharactersMax) {
    let i = 0;
    for (let code; i < text.length && (code = text.charCodeAt(i)) < 128; i++) into[at + i] = code;
    if (i === text.length) return at + i;
  }
  return at + encoder.encodeInto(text, into.subarray(at)).written;
}

function checkBounds(name: number, meta: number, body: number): void {
  if (name > limits.frameNameBytesMax) {
    throw new SqwishError(
      "too_large",
      `A name takes at most ${limits.frameNameBytesMax} bytes, this one has ${name}`,
    );
  }
  if (meta > limits.frameMetaBytesMax) {
    throw new SqwishError(
      "too_large",
      `Headers take at most ${limits.frameMetaBytesMax} bytes, these have ${meta}`,
    );
  }
  if (body > limits.bodyBytesMax) {
    throw new SqwishError(
      "too_large",
      `A body takes at most ${limits.bodyBytesMax} bytes, this one has ${body}`,
    );
  }
}

/** The frame that starts at `at`; `body` is a view into `bytes`. Only for frames that `frameLengthAt` accepted. */
export function decodeFrame(bytes: Uint8Array, at = 0): Frame {
  const nameEnd = at + headerBytes + readUint16(bytes, at + 6);
  const metaEnd = nameEnd + readUint32(bytes, at + 12);
  try {
    return {
      op: bytes[at + 4] as Op,
      flags: bytes[at + 5],
      id: frameId(bytes, at),
      a: frameA(bytes, at),
      b: frameB(bytes, at),
      requestId: frameRequestId(bytes, at),
      name: decoder.decode(bytes.subarray(at + headerBytes, nameEnd)),
      meta: metaEnd === nameEnd ? "" : decoder.decode(bytes.subarray(nameEnd, metaEnd)),
      body: bytes.subarray(metaEnd, at + readUint32(bytes, at)),
    };
  } catch (cause) {
    throw new SqwishError("invalid_request", "A frame's name and headers must be UTF-8", { cause });
  }
}

/** Of a frame that `frameLengthAt` has accepted. */
export const frameLength = (bytes: Uint8Array, at: number): number => readUint32(bytes, at);
export const frameOp = (bytes: Uint8Array, at: number): number => bytes[at + 4];
export const frameFlags = (bytes: Uint8Array, at: number): number => bytes[at + 5];
export const frameId = (bytes: Uint8Array, at: number): number => readUint32(bytes, at + 8);
export const frameA = (bytes: Uint8Array, at: number): number => readUint32(bytes, at + 16);
export const frameB = (bytes: Uint8Array, at: number): number => readUint32(bytes, at + 20);

/** Where the body starts. */
export function frameBodyAt(bytes: Uint8Array, at: number): number {
  return at + headerBytes + readUint16(bytes, at + 6) + readUint32(bytes, at + 12);
}

/** The name alone, for routing. Names are ASCII in practice; other UTF-8 is decoded too. */
export function frameName(bytes: Uint8Array, at: number): string {
  const end = at + headerBytes + readUint16(bytes, at + 6);
  let name = "";
  for (let i = at + headerBytes; i < end; i++) {
    if (bytes[i] > 127) return new TextDecoder().decode(bytes.subarray(at + headerBytes, end));
    name += String.fromCharCode(bytes[i]);
  }
  return name;
}

export const setFrameId = (bytes: Uint8Array, at: number, id: number): void => writeUint32(bytes, at + 8, id);
export const setFrameA = (bytes: Uint8Array, at: number, a: number): void => writeUint32(bytes, at + 16, a);
export const setFrameB = (bytes: Uint8Array, at: number, b: number): void => writeUint32(bytes, at + 20, b);

/** The meta alone. Throws `invalid_request` when it is not UTF-8. */
export function frameMeta(bytes: Uint8Array, at: number): string {
  const length = readUint32(bytes, at + 12);
  if (length === 0) return "";
  const start = at + headerBytes + readUint16(bytes, at + 6);
  try {
    return decoder.decode(bytes.subarray(start, start + length));
  } catch (cause) {
    throw new SqwishError("invalid_request", "A frame's headers must be UTF-8", { cause });
  }
}

export const frameRequestHigh = (bytes: Uint8Array, at: number): number => readUint32(bytes, at + 24);
export const frameRequestLow = (bytes: Uint8Array, at: number): number => readUint32(bytes, at + 28);

export function frameRequestId(bytes: Uint8Array, at: number): string {
  return formatRequestId(frameRequestHigh(bytes, at), frameRequestLow(bytes, at));
}

export function formatRequestId(high: number, low: number): string {
  if (high === 0 && low === 0) return noRequestId;
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** What `formatRequestId` makes, and nothing else: details of an error may be a module's own words. */
export function isRequestId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{16}$/.test(value);
}

export function setFrameRequestId(bytes: Uint8Array, at: number, high: number, low: number): void {
  writeUint32(bytes, at + 24, high);
  writeUint32(bytes, at + 28, low);
}

function writeRequestId(bytes: Uint8Array, at: number, requestId: string): void {
  setFrameRequestId(
    bytes,
    at,
    Number.parseInt(requestId.slice(0, 8), 16),
    Number.parseInt(requestId.slice(8), 16),
  );
}

/**
 * The length of the frame at `at` when it lies whole in `bytes[at, end)`, 0 when more bytes are needed.
 * Throws `invalid_request` or `too_large` for what can't be a frame; the connection is then beyond repair.
 */
export function frameLengthAt(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < headerBytes) return 0;
  const length = readUint32(bytes, at);
  if (length > limits.frameBytesMax) {
    throw new SqwishError(
      "too_large",
      `A frame takes at most ${limits.frameBytesMax} bytes, this one says ${length}`,
    );
  }
  const nameAndMeta = readUint16(bytes, at + 6) + readUint32(bytes, at + 12);
  if (length < headerBytes + nameAndMeta) {
    throw new SqwishError(
      "invalid_request",
      `A frame of ${length} bytes can't hold ${nameAndMeta} of name and headers`,
    );
  }
  if (length - headerBytes - nameAndMeta > limits.bodyBytesMax) {
    throw new SqwishError("too_large", `A body takes at most ${limits.bodyBytesMax} bytes`);
  }
  const op = bytes[at + 4];
  if (op < Op.request || op > Op.taken) {
    throw new SqwishError("invalid_request", `A frame's operation is 1 to ${Op.taken}, this one is ${op}`);
  }
  return end - at < length ? 0 : length;
}

/** Calls `visit` with the bounds of each frame of a run of whole, well-formed frames, as a channel delivers them. */
export function forEachFrame(frames: Uint8Array, visit: (at: number, end: number) => void): void {
  for (let at = 0; at < frames.length;) {
    const end = at + frameLength(frames, at);
    visit(at, end);
    at = end;
  }
}

export function concatBytes(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 8) | bytes[at + 1];
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

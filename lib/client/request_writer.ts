/**
 * Request frames as bytes: caller → here → channel. Small ones are written one behind the other into a shared block,
 * which the channel then copies from in one go: no buffer, view or encoder per request.
 * Invariant: what has been written never changes, so a block is the channel's as soon as its frames are sent.
 */
import { limits } from "../limits.ts";
import { encodeFrame, headerBytes, type Op, writeFrameHeader, writeText } from "../protocol/frame.ts";
import { type Body, flagsOf } from "./body.ts";

/** What a frame says besides its id and its time. */
export interface Outgoing {
  op: Op;
  flags: number;
  name: string;
  /** JSON text; empty for none. */
  meta: string;
  body: Body;
}

const blockBytes = 64 * 1024;
/** Larger ones get a buffer of their own, and so does whatever the frame's own bounds might refuse. */
const sharedBytesMax = blockBytes / 2;
/** Endpoints are few; a caller that makes them up must not fill the memory. */
const namesKept = 1000;

const encoder = new TextEncoder();

export class RequestWriter {
  /** The frame written last is `bytes[at, end)`. */
  bytes = new Uint8Array(0);
  at = 0;
  end = 0;
  #block = new Uint8Array(0);
  #used = 0;
  readonly #names = new Map<string, Uint8Array>();

  /** `a` is the frame's field: remaining ms. Throws `too_large` over the limits of `limits.ts`. */
  write(outgoing: Outgoing, id: number, a: number): void {
    const { op, name, meta, body } = outgoing;
    const nameBytes = this.#nameOf(name);
    // No character takes more than three bytes of UTF-8.
    const bytesMax = headerBytes + nameBytes.length + meta.length * 3 +
      (typeof body === "string" ? body.length * 3 : body.length);
    if (bytesMax > sharedBytesMax || nameBytes.length > limits.frameNameBytesMax) {
      this.bytes = encodeOwn(outgoing, id, a);
      this.at = 0;
      this.end = this.bytes.length;
      return;
    }
    if (this.#used + bytesMax > this.#block.length) {
      this.#block = new Uint8Array(blockBytes);
      this.#used = 0;
    }
    const [bytes, at] = [this.#block, this.#used];
    const metaAt = at + headerBytes + nameBytes.length;
    bytes.set(nameBytes, at + headerBytes);
    const bodyAt = meta === "" ? metaAt : writeText(bytes, metaAt, meta);
    let end = bodyAt;
    if (typeof body === "string") {
      end = writeText(bytes, bodyAt, body);
    } else {
      bytes.set(body, bodyAt);
      end += body.length;
    }
    const flags = outgoing.flags | flagsOf(body);
    writeFrameHeader(bytes, at, end - at, op, flags, id, a, 0, nameBytes.length, bodyAt - metaAt);
    this.bytes = bytes;
    this.at = at;
    this.end = this.#used = end;
  }

  #nameOf(name: string): Uint8Array {
    const known = this.#names.get(name);
    if (known) return known;
    const bytes = encoder.encode(name);
    if (bytes.length > limits.frameNameBytesMax) return bytes;
    if (this.#names.size >= namesKept) this.#names.clear();
    this.#names.set(name, bytes);
    return bytes;
  }
}

/** The frame in a buffer of its own: it may have to be kept. */
export function encodeOwn(
  { op, flags, name, meta, body }: Outgoing,
  id: number,
  a = 0,
): Uint8Array<ArrayBuffer> {
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  return encodeFrame({ op, id, flags: flags | flagsOf(body), a, name, meta, body: bytes });
}

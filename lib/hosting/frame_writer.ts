/**
 * Writes the answers of a runner back to back into pages, so that a batch of them needs no array, no copy and no
 * range of its own on its way to the socket. A page is used again once the sink has written all of it.
 */
import { encodeFrame, headerBytes, type Op, writeHeader } from "../protocol/frame.ts";
import type { FrameSink } from "./host.ts";

const pageBytes = 64 * 1024;
/** Pages kept for use again. */
const pagesMax = 16;
/** Up to this length a loop over the characters beats a call into the runtime. */
const shortText = 32;

const encoder = new TextEncoder();

/** Where the frames go. */
export interface CountingSink extends FrameSink {
  /** Bytes taken so far, all together. */
  readonly sentBytes: number;
}

interface Page {
  bytes: Uint8Array;
  /** It is written once this many bytes are. */
  endsAtBytes: number;
}

export class FrameWriter {
  readonly #sink: CountingSink;
  #page: Uint8Array = new Uint8Array(pageBytes);
  #at = 0;
  /** Full ones, the oldest first. */
  readonly #full: Page[] = [];

  constructor(sink: CountingSink) {
    this.#sink = sink;
  }

  /** A frame whose body is `body`, which may be changed afterwards. */
  sendBytes(op: Op, id: number, flags: number, a: number, body: Uint8Array): void {
    const length = headerBytes + body.length;
    if (!this.#reserve(length)) return this.#sendAlone(encodeFrame({ op, id, flags, a, body }));
    this.#page.set(body, this.#at + headerBytes);
    this.#finish(op, id, flags, a, length);
  }

  /** A frame whose body is `text` in UTF-8. Returns the body's length; above `bodyBytesMax` nothing is sent. */
  sendText(op: Op, id: number, a: number, text: string, bodyBytesMax: number): number {
    // A character is up to three bytes of UTF-8.
    if (!this.#reserve(headerBytes + 3 * text.length)) {
      const body = encoder.encode(text);
      if (body.length <= bodyBytesMax) this.sendBytes(op, id, 0, a, body);
      return body.length;
    }
    const start = this.#at + headerBytes;
    let written = text.length <= shortText ? writeAscii(text, this.#page, start) : -1;
    if (written < 0) written = encoder.encodeInto(text, this.#page.subarray(start)).written;
    this.#finish(op, id, 0, a, headerBytes + written);
    return written;
  }

  /** False when a frame of `length` bytes would not fit a page. */
  #reserve(length: number): boolean {
    if (length > pageBytes) return false;
    if (this.#sink.bufferedBytes === 0) this.#at = 0;
    else if (this.#at + length > pageBytes) this.#turnPage();
    return true;
  }

  #turnPage(): void {
    const { sentBytes, bufferedBytes } = this.#sink;
    this.#full.push({ bytes: this.#page, endsAtBytes: sentBytes });
    const isWritten = this.#full[0].endsAtBytes <= sentBytes - bufferedBytes;
    const oldest = isWritten || this.#full.length > pagesMax ? this.#full.shift() : undefined;
    this.#page = isWritten && oldest ? oldest.bytes : new Uint8Array(pageBytes);
    this.#at = 0;
  }

  #finish(op: Op, id: number, flags: number, a: number, length: number): void {
    const at = this.#at;
    writeHeader(this.#page, at, length, op, flags, id, a);
    this.#at = at + length;
    this.#sink.sendFrames(this.#page, at, at + length);
  }

  #sendAlone(frame: Uint8Array): void {
    this.#sink.sendFrames(frame, 0, frame.length);
  }
}

/** Returns how many bytes it wrote; -1 for text that is not all ASCII. */
function writeAscii(text: string, into: Uint8Array, at: number): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return -1;
    into[at + i] = code;
  }
  return text.length;
}

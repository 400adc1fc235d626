/**
 * Writes the answers of a runner back to back into pages, so that a batch of them needs no array, no copy and no
 * range of its own on its way to the socket. Pages are used again once the sink refers to none.
 */
import { encodeFrame, headerBytes, type Op, writeFrameHeader, writeText } from "../protocol/frame.ts";
import type { FrameSink } from "./host.ts";

const pageBytes = 64 * 1024;
/** Pages kept for use again. */
const pagesMax = 8;

const encoder = new TextEncoder();

/** Where the frames go. */
export interface HoldingSink extends FrameSink {
  /** Bytes of frames it has taken and still refers to. */
  readonly heldBytes: number;
}

export class AnswerWriter {
  readonly #sink: HoldingSink;
  readonly #pages = [new Uint8Array(pageBytes)];
  #page = this.#pages[0];
  /** How many pages have been begun since the sink held nothing. */
  #begun = 1;
  #at = 0;

  constructor(sink: HoldingSink) {
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
    const bodyBytes = writeText(this.#page, start, text) - start;
    this.#finish(op, id, 0, a, headerBytes + bodyBytes);
    return bodyBytes;
  }

  /** False when a frame of `length` bytes would not fit a page. */
  #reserve(length: number): boolean {
    if (length > pageBytes) return false;
    if (this.#sink.heldBytes === 0) {
      this.#begun = 0;
      this.#turnPage();
    } else if (this.#at + length > pageBytes) {
      this.#turnPage();
    }
    return true;
  }

  #turnPage(): void {
    this.#page = this.#pages[this.#begun] ?? new Uint8Array(pageBytes);
    if (this.#begun < pagesMax) this.#pages[this.#begun++] = this.#page;
    this.#at = 0;
  }

  #finish(op: Op, id: number, flags: number, a: number, length: number): void {
    const at = this.#at;
    writeFrameHeader(this.#page, at, length, op, flags, id, a, 0);
    this.#at = at + length;
    this.#sink.sendFrames(this.#page, at, at + length);
  }

  #sendAlone(frame: Uint8Array): void {
    this.#sink.sendFrames(frame, 0, frame.length);
    this.#sink.freeWhenWritten?.(frame, 0, frame.length);
  }
}

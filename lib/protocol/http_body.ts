/**
 * The body of an HTTP/1 request, by its length or in chunks (RFC 9112, sections 6 and 7.1): pieces as they come → here
 * → one array. Pure. Chunk extensions and trailers are read over, within a bound.
 */
import { Buffer } from "node:buffer";
import { SqwishError } from "../errors.ts";
import { unreadable } from "./http_head.ts";

/** A chunk's first line, or all trailers together. */
const lineBytesMax = 1024;
/** What is announced is not believed at once: the room for a body grows with what has come of it. */
const firstRoomBytes = 64 * 1024;

export class HttpBody {
  readonly #bytesMax: number;
  readonly #isChunked: boolean;
  #room: Uint8Array<ArrayBuffer>;
  #bytes = 0;
  /** Bytes of the body, or of the chunk that is being read, still to come. */
  #missing: number;
  /** Which part of a chunked body comes next. */
  #next: "size" | "data" | "dataEnd" | "trailers" | "end" = "size";
  /** The start of a line whose end has not come. */
  #line = Buffer.alloc(0);
  #trailerBytes = 0;

  /** `body`: see `RequestHead`. Throws `too_large` when more is announced than may come. */
  constructor(body: number | "chunked", bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#isChunked = body === "chunked";
    this.#missing = body === "chunked" ? 0 : body;
    if (this.#missing > bytesMax) throw this.#tooLarge(this.#missing);
    this.#room = new Uint8Array(this.#isChunked ? 0 : Math.min(this.#missing, firstRoomBytes));
  }

  get isWhole(): boolean {
    return this.#isChunked ? this.#next === "end" : this.#missing === 0;
  }

  /** Bytes gathered so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes what belongs to the body; returns what follows it. Throws `invalid_request` or `too_large`. */
  push(bytes: Buffer): Buffer {
    if (!this.#isChunked) return this.#takeData(bytes);
    let rest = bytes;
    while (rest.length > 0 && this.#next !== "end") {
      if (this.#next === "data") {
        rest = this.#takeData(rest);
        if (this.#missing === 0) this.#next = "dataEnd";
      } else {
        rest = this.#takeLine(rest);
      }
    }
    return rest;
  }

  /** All of it. */
  take(): Uint8Array<ArrayBuffer> {
    return this.#room.subarray(0, this.#bytes);
  }

  #takeData(bytes: Buffer): Buffer {
    const count = Math.min(bytes.length, this.#missing);
    const needed = this.#bytes + count;
    if (needed > this.#room.length) {
      const bound = this.#isChunked ? this.#bytesMax : this.#bytes + this.#missing;
      const room = new Uint8Array(Math.min(2 * needed, bound));
      room.set(this.#room.subarray(0, this.#bytes));
      this.#room = room;
    }
    this.#room.set(bytes.subarray(0, count), this.#bytes);
    this.#bytes = needed;
    this.#missing -= count;
    return bytes.subarray(count);
  }

  #takeLine(bytes: Buffer): Buffer {
    const end = bytes.indexOf(10);
    const line = Buffer.concat([this.#line, end < 0 ? bytes : bytes.subarray(0, end + 1)]);
    if (line.length > lineBytesMax) throw unreadable("a line between its chunks is too long");
    if (end < 0) {
      this.#line = line;
      return bytes.subarray(bytes.length);
    }
    this.#line = Buffer.alloc(0);
    if (line.length < 2 || line[line.length - 2] !== 13) {
      throw unreadable("a chunk's line does not end with CR LF");
    }
    this.#onLine(line.toString("latin1", 0, line.length - 2));
    return bytes.subarray(end + 1);
  }

  #onLine(line: string): void {
    if (this.#next === "dataEnd") {
      if (line !== "") throw unreadable("a chunk is longer than it says");
      this.#next = "size";
    } else if (this.#next === "size") {
      const match = /^([\da-f]{1,8})[ \t]*(?:;[\t -~\x80-\xff]*)?$/i.exec(line);
      if (!match) throw unreadable(`a chunk's size is ${JSON.stringify(line.slice(0, 50))}`);
      this.#missing = parseInt(match[1], 16);
      this.#next = this.#missing === 0 ? "trailers" : "data";
      if (this.#bytes + this.#missing > this.#bytesMax) throw this.#tooLarge(this.#bytes + this.#missing);
    } else {
      this.#trailerBytes += line.length;
      if (this.#trailerBytes > lineBytesMax) throw unreadable("its trailers are too long");
      if (line === "") this.#next = "end";
    }
  }

  #tooLarge(bytes: number): SqwishError {
    return new SqwishError(
      "too_large",
      `A request body takes at most ${this.#bytesMax} bytes, this one has ${bytes}`,
    );
  }
}

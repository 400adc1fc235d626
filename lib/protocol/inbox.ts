/**
 * Frames out of a byte stream that is cut anywhere: a WebSocket's binary payloads or the unix socket → here → the
 * owner, as runs of whole frames. What lies whole in what was read is handed on as it lies there; only a cut frame
 * is copied. Chunks of a large frame (`outbox.ts`) are put together here, so that only the two ends of the connection
 * know of them.
 * The invariant: what is handed on are whole, well-formed frames whose bytes are the receiver's.
 */
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { frameA, frameB, frameId, frameLength, frameLengthAt, frameOp, headerBytes, Op } from "./frame.ts";
import { newFrame } from "./large_frames.ts";

interface Transfer {
  readonly whole: Uint8Array;
  receivedBytes: number;
}

export interface InboxOwner {
  /** One or more whole frames, back to back, whose bytes are the owner's from now on. */
  deliver(frames: Uint8Array): void;
  /** The other end has taken so many bytes of our chunks. */
  onTaken(bytes: number): void;
  /** To be told to the other end: so many bytes of its chunks have been taken. */
  tellTaken(bytes: number): void;
}

const noBytes = new Uint8Array(0);

/** Each whole chunk is told at once: the sender times its window by it. */
const tellAfterBytes = limits.chunkBytesMax;

export class Inbox {
  readonly #owner: InboxOwner;
  #untoldBytes = 0;
  /** The beginning of a frame that is not whole yet: its header so far, or a buffer of its full size. */
  #cut: Uint8Array | null = null;
  #cutBytes = 0;
  /** While a large frame is on its way: where its cut chunks are put together. */
  #chunkRoom = noBytes;
  readonly #transfers = new Map<number, Transfer>();

  constructor(owner: InboxOwner) {
    this.#owner = owner;
  }

  /** True between two frames: nothing is half there. */
  get isBetweenFrames(): boolean {
    return this.#cutBytes === 0;
  }

  /**
   * Takes the next bytes of the stream. True when none of them were handed on: then they are the caller's again, else
   * the receiver's. Throws `invalid_request` or `too_large` for what can't be a frame; the stream is then beyond repair.
   */
  push(bytes: Uint8Array): boolean {
    let isFree = true;
    let at = this.#cutBytes > 0 ? this.#complete(bytes) : 0;
    let from = at;
    while (at < bytes.length) {
      const length = frameLengthAt(bytes, at, bytes.length);
      if (length === 0) break;
      if (frameOp(bytes, at) >= Op.chunk) {
        if (from < at) {
          this.#owner.deliver(bytes.subarray(from, at));
          isFree = false;
        }
        from = at + length;
        this.#takeOwn(bytes, at, at + length);
      }
      at += length;
    }
    if (from < at) {
      this.#owner.deliver(from === 0 && at === bytes.length ? bytes : bytes.subarray(from, at));
      isFree = false;
    }
    if (at < bytes.length) this.#keep(bytes, at);
    return isFree;
  }

  #keep(bytes: Uint8Array, at: number): void {
    const rest = bytes.length - at;
    this.#cut = rest < headerBytes ? new Uint8Array(headerBytes) : this.#roomFor(bytes, at);
    this.#cut.set(bytes.subarray(at));
    this.#cutBytes = rest;
  }

  /** For the frame whose header is at `at`: a chunk is copied from there, so the next one's room is the same. */
  #roomFor(bytes: Uint8Array, at: number): Uint8Array {
    const length = frameLength(bytes, at);
    if (frameOp(bytes, at) < Op.chunk) return new Uint8Array(length);
    if (this.#chunkRoom.length < length) this.#chunkRoom = new Uint8Array(length);
    return this.#chunkRoom.subarray(0, length);
  }

  /** Adds to the cut frame; returns where the bytes after it begin. */
  #complete(bytes: Uint8Array): number {
    let at = 0;
    if (this.#cutBytes < headerBytes) {
      at = this.#fill(bytes, 0, headerBytes);
      if (this.#cutBytes < headerBytes) return at;
      const header = this.#cut!;
      // Checks the header's bounds before a buffer of that size is made.
      const whole = frameLengthAt(header, 0, headerBytes);
      if (whole !== headerBytes) {
        this.#cut = this.#roomFor(header, 0);
        this.#cut.set(header);
      }
    }
    const frame = this.#cut!;
    at = this.#fill(bytes, at, frame.length);
    if (this.#cutBytes < frame.length) return at;
    this.#cut = null;
    this.#cutBytes = 0;
    if (frameOp(frame, 0) >= Op.chunk) this.#takeOwn(frame, 0, frame.length);
    else this.#owner.deliver(frame);
    return at;
  }

  #fill(bytes: Uint8Array, at: number, upTo: number): number {
    const count = Math.min(upTo - this.#cutBytes, bytes.length - at);
    this.#cut!.set(bytes.subarray(at, at + count), this.#cutBytes);
    this.#cutBytes += count;
    return at + count;
  }

  /** What is meant for the connection itself. */
  #takeOwn(bytes: Uint8Array, at: number, end: number): void {
    if (frameOp(bytes, at) === Op.taken) return this.#owner.onTaken(frameA(bytes, at));
    this.#add(bytes, at, end);
    this.#untoldBytes += end - at;
    if (this.#untoldBytes < tellAfterBytes) return;
    const told = this.#untoldBytes;
    this.#untoldBytes = 0;
    this.#owner.tellTaken(told);
  }

  /** A chunk: id = the transfer's number, a = its offset, b = the whole frame's length. */
  #add(bytes: Uint8Array, at: number, end: number): void {
    const number = frameId(bytes, at);
    const offset = frameA(bytes, at);
    let transfer = this.#transfers.get(number);
    if (!transfer) {
      transfer = { whole: newFrame(this.#admit(frameB(bytes, at))), receivedBytes: 0 };
      this.#transfers.set(number, transfer);
    }
    const { whole } = transfer;
    const body = bytes.subarray(at + headerBytes, end);
    if (offset !== transfer.receivedBytes || body.length === 0 || offset + body.length > whole.length) {
      throw new SqwishError(
        "invalid_request",
        `A chunk must follow the one before it, this one has bytes ${offset} to ${offset + body.length} of ` +
          `${whole.length} after ${transfer.receivedBytes}`,
      );
    }
    whole.set(body, offset);
    transfer.receivedBytes += body.length;
    if (transfer.receivedBytes < whole.length) return;
    this.#transfers.delete(number);
    if (this.#transfers.size === 0) this.#chunkRoom = noBytes;
    if (frameLengthAt(whole, 0, whole.length) !== whole.length || frameOp(whole, 0) >= Op.chunk) {
      throw new SqwishError("invalid_request", "The chunks of a transfer must make one whole frame");
    }
    this.#owner.deliver(whole);
  }

  #admit(length: number): number {
    if (length > limits.frameBytesMax) {
      throw new SqwishError(
        "too_large",
        `A frame takes at most ${limits.frameBytesMax} bytes, its first chunk says ${length}`,
      );
    }
    if (length < headerBytes || this.#transfers.size >= limits.transfersAtOnce) {
      throw new SqwishError(
        "invalid_request",
        `At most ${limits.transfersAtOnce} frames of at least ${headerBytes} bytes come in chunks at once`,
      );
    }
    return length;
  }
}

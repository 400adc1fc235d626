/**
 * Frames that wait to be written to one connection: senders → here → one batch per write (WebSocket, unix socket).
 * Ranges are kept as they come and copied once, into the batch; ranges that lie back to back in one buffer are one
 * copy. A frame over `chunkBytesMax` goes out in chunks, a few at a time and between the small ones, so that it
 * delays them by one chunk at most; and only so many chunks are on their way at once (`chunk_window.ts`), or what lies
 * in the buffers of the operating system would delay them all the same.
 * The invariant: frames of one id leave in the order they came.
 */
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { ChunkWindow } from "./chunk_window.ts";
import { frameId, frameLength, headerBytes, Op, writeFrameHeader } from "./frame.ts";
import { freeFrame, isFreeable } from "./large_frames.ts";

const noBytes = new Uint8Array(0);
const chunkBodyBytesMax = limits.chunkBytesMax - headerBytes;

/** Frames of one id of which at least one is large, in order. */
interface Lane {
  readonly id: number;
  /** How many small bytes had been pushed before it began: some of its id may be among them, and go first. */
  readonly after: number;
  frames: Uint8Array[];
  /** Of its transfer, on the wire. */
  transfer: number;
  /** How much of the first frame has gone out. */
  sentBytes: number;
}

export class Outbox {
  /** Ranges of small frames: `#buffers[i]` from `#starts[i]` to `#ends[i]`, from `#first` on. */
  #buffers: Uint8Array[] = [];
  #starts: number[] = [];
  #ends: number[] = [];
  #first = 0;
  #smallBytes = 0;
  /** All that were ever pushed. */
  #smallBytesPushed = 0;
  /** The first few take turns, the others wait. */
  #lanes: Lane[] = [];
  #laneBytes = 0;
  /** The buffers of frames in lanes that nobody else needs any more. */
  readonly #unneeded = new Set<ArrayBufferLike>();
  readonly #window: ChunkWindow;
  #transfer = 0;
  /** What `plan` has found room for. */
  #plannedTo = 0;
  #plannedBulk = 0;

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#window = new ChunkWindow(clock);
  }

  /** Bytes of frames that have not been put into a batch. */
  get bytes(): number {
    return this.#smallBytes + this.#laneBytes;
  }

  /** Those of them that wait in chunks, for the receiver's word. */
  get largeBytes(): number {
    return this.#laneBytes;
  }

  /** Takes whole frames. The bytes must not change until they have been written. */
  push(bytes: Uint8Array, at: number, end: number): void {
    if (end - at > limits.chunkBytesMax || this.#lanes.length > 0) return this.#sort(bytes, at, end);
    this.#append(bytes, at, end);
  }

  /** The sender of the frame `bytes[at, end)` needs it no more: its memory is given back, now or once it is written. */
  freeWhenWritten(bytes: Uint8Array, at: number, end: number): void {
    if (!isFreeable(bytes, at, end)) return;
    const { buffer } = bytes;
    const waits = this.#lanes.some(({ frames }) => frames.some((frame) => frame.buffer === buffer));
    if (waits) this.#unneeded.add(buffer);
    else freeFrame(bytes, at, end);
  }

  clear(): void {
    this.#unneeded.clear();
    this.#buffers = [];
    this.#starts = [];
    this.#ends = [];
    this.#lanes = [];
    this.#first =
      this.#smallBytes =
      this.#laneBytes =
      this.#plannedTo =
      this.#plannedBulk =
        0;
  }

  /** The receiver has taken so many bytes of chunks. */
  taken(bytes: number): void {
    this.#window.taken(bytes);
  }

  /** The size of the next batch, which `write` then writes; 0 when nothing may go. */
  plan(): number {
    let to = this.#first;
    let length = 0;
    while (to < this.#buffers.length) {
      const bytes = this.#ends[to] - this.#starts[to];
      if (length > 0 && length + bytes > limits.batchBytesMax) break;
      length += bytes;
      to++;
    }
    this.#plannedTo = to;
    const smallBytesGone = this.#smallBytesPushed - this.#smallBytes + length;
    const mayChunk = this.#lanes.length > 0 && this.#lanes[0].after <= smallBytesGone && this.#window.isOpen;
    this.#plannedBulk = mayChunk ? nextPieceBytes(this.#lanes[0]) : 0;
    return length + this.#plannedBulk;
  }

  /** Writes the planned batch into `into` from `at` on; returns where it ends. */
  write(into: Uint8Array, at: number): number {
    for (let i = this.#first; i < this.#plannedTo; i++) {
      const [start, end] = [this.#starts[i], this.#ends[i]];
      copy(this.#buffers[i], start, end, into, at);
      this.#buffers[i] = noBytes;
      at += end - start;
      this.#smallBytes -= end - start;
    }
    this.#first = this.#plannedTo;
    if (this.#first === this.#buffers.length) {
      this.#first =
        this.#buffers.length =
        this.#starts.length =
        this.#ends.length =
          0;
    } else if (this.#first > 1024) {
      this.#forgetWritten();
    }
    return this.#plannedBulk === 0 ? at : this.#writePiece(into, at);
  }

  #append(bytes: Uint8Array, at: number, end: number): void {
    const last = this.#buffers.length - 1;
    this.#smallBytes += end - at;
    this.#smallBytesPushed += end - at;
    const follows = last >= this.#first && this.#buffers[last] === bytes && this.#ends[last] === at;
    if (follows && end - this.#starts[last] <= limits.batchBytesMax) {
      this.#ends[last] = end;
      return;
    }
    this.#buffers.push(bytes);
    this.#starts.push(at);
    this.#ends.push(end);
  }

  /** Frame by frame: which are large, or follow a large one of their id. */
  #sort(bytes: Uint8Array, at: number, end: number): void {
    while (at < end) {
      const frameEnd = at + frameLength(bytes, at);
      const id = frameId(bytes, at);
      let lane = this.#lanes.find((one) => one.id === id);
      if (!lane && frameEnd - at > limits.chunkBytesMax) {
        lane = { id, after: this.#smallBytesPushed, frames: [], transfer: 0, sentBytes: 0 };
        this.#lanes.push(lane);
      }
      if (lane) {
        lane.frames.push(bytes.subarray(at, frameEnd));
        this.#laneBytes += frameEnd - at;
      } else {
        this.#append(bytes, at, frameEnd);
      }
      at = frameEnd;
    }
  }

  /** One chunk, or one small frame, of the lane whose turn it is. */
  #writePiece(into: Uint8Array, at: number): number {
    const lane = this.#lanes.shift()!;
    const [frame] = lane.frames;
    if (frame.length <= limits.chunkBytesMax) {
      into.set(frame, at);
      at += frame.length;
      lane.sentBytes = frame.length;
    } else {
      if (lane.sentBytes === 0) lane.transfer = this.#transfer = (this.#transfer + 1) >>> 0;
      const bodyBytes = Math.min(chunkBodyBytesMax, frame.length - lane.sentBytes);
      const length = headerBytes + bodyBytes;
      writeFrameHeader(into, at, length, Op.chunk, 0, lane.transfer, lane.sentBytes, frame.length);
      into.set(frame.subarray(lane.sentBytes, lane.sentBytes + bodyBytes), at + headerBytes);
      at += length;
      lane.sentBytes += bodyBytes;
      this.#window.sent(length);
    }
    if (lane.sentBytes === frame.length) {
      this.#laneBytes -= frame.length;
      lane.frames.shift();
      lane.sentBytes = 0;
      if (this.#unneeded.delete(frame.buffer)) freeFrame(frame, 0, frame.length);
    }
    // Behind those that take turns with it, before those that wait: the receiver holds only so many at once.
    const isOpen = lane.sentBytes > 0;
    if (lane.frames.length > 0) {
      const turn = isOpen ? limits.transfersAtOnce - 1 : this.#lanes.length;
      this.#lanes.splice(Math.min(turn, this.#lanes.length), 0, lane);
    }
    return at;
  }

  #forgetWritten(): void {
    this.#buffers.splice(0, this.#first);
    this.#starts.splice(0, this.#first);
    this.#ends.splice(0, this.#first);
    this.#first = 0;
  }
}

function nextPieceBytes(lane: Lane): number {
  const [frame] = lane.frames;
  if (frame.length <= limits.chunkBytesMax) return frame.length;
  return headerBytes + Math.min(chunkBodyBytesMax, frame.length - lane.sentBytes);
}

/** Below this a loop is faster than making a view. */
const loopBytesMax = 48;

function copy(from: Uint8Array, start: number, end: number, into: Uint8Array, at: number): void {
  if (end - start > loopBytesMax) {
    into.set(start === 0 && end === from.length ? from : from.subarray(start, end), at);
    return;
  }
  for (let i = start; i < end; i++) into[at++] = from[i];
}

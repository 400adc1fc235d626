/**
 * A TLS connection of the runtime's as a byte stream, on the dialling and on the accepting side: one pending read that
 * stops while paused, writes that can be awaited. Whoever reads may hand the stream over to another reader.
 */
import type { ByteStream } from "./websocket.ts";

/**
 * Room for a read: a quiet connection waits with the least. One whose read filled its room gets four times as much for
 * the next, up to the most, and less again once it doesn't.
 */
const roomBytesMin = 4 * 1024;
const roomBytesMax = 256 * 1024;
/** Of a buffer that is read into again and again: with less left than a TLS record holds, the next read gets a new one. */
const leftBytesMin = 16 * 1024;

const noBytes = new Uint8Array(0);

/** A stream whose receiver may give it to another: `start()` is then called again. */
export interface SharedStream extends ByteStream {
  /** Ends the receiver's turn; the next one gets `rest` first, then all that comes from now on. */
  handOver(rest: Uint8Array): void;
  /** Says that nothing more will be written; the peer may still be read. */
  endWriting(): Promise<void>;
}

export class ConnStream implements SharedStream {
  readonly remoteAddress: string;
  readonly #connection: Deno.TlsConn;
  readonly #left: () => void;
  #onData: ((chunk: Uint8Array) => boolean | void) | null = null;
  #onEnd: ((reason: string) => void) | null = null;
  /** What came while nobody took it. */
  #unread: Uint8Array[] = [];
  #endReason: string | null = null;
  #reading = false;
  #paused: Promise<void> | null = null;
  #unpause: () => void = () => {};
  #destroyed = false;

  /** `left` is called once, when the stream is destroyed. */
  constructor(connection: Deno.TlsConn, remoteAddress: string, left: () => void = () => {}) {
    this.#connection = connection;
    this.#left = left;
    this.remoteAddress = remoteAddress;
  }

  start(onData: (chunk: Uint8Array) => boolean | void, onEnd: (reason: string) => void): void {
    this.#onData = onData;
    this.#onEnd = onEnd;
    this.resume();
    const unread = this.#unread;
    this.#unread = [];
    for (const chunk of unread) this.#deliver(chunk);
    if (this.#endReason !== null) return onEnd(this.#endReason);
    if (this.#reading) return;
    this.#reading = true;
    void this.#read().then((reason) => {
      this.#endReason = reason;
      this.#onEnd?.(reason);
    });
  }

  handOver(rest: Uint8Array): void {
    this.#onData = null;
    this.#onEnd = null;
    if (rest.length > 0) this.#unread.push(rest);
    this.pause();
  }

  async #read(): Promise<string> {
    let buffer = noBytes;
    let filled = 0;
    let roomBytes = roomBytesMin;
    while (!this.#destroyed) {
      if (this.#paused) {
        await this.#paused;
        continue;
      }
      let count: number | null;
      try {
        // What the receiver has kept is not overwritten; the next goes behind it, or into a new buffer.
        if (buffer.length - filled < Math.min(roomBytes / 2, leftBytesMin)) {
          buffer = new Uint8Array(roomBytes);
          filled = 0;
        }
        count = await this.#connection.read(filled === 0 ? buffer : buffer.subarray(filled));
      } catch (thrown) {
        return thrown instanceof Error ? describeLoss(thrown) : String(thrown);
      }
      if (count === null) return "the peer closed the connection";
      const hadRoom = buffer.length - filled;
      roomBytes = nextRoomBytes(roomBytes, count, hadRoom);
      if (!this.#deliver(buffer.subarray(filled, filled + count))) filled += count;
    }
    return "closed here";
  }

  /** True when the chunk's bytes may be overwritten. */
  #deliver(chunk: Uint8Array): boolean {
    if (this.#onData) return this.#onData(chunk) === true;
    this.#unread.push(chunk);
    return false;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { length } = bytes;
    let at = await this.#connection.write(bytes);
    while (at < length) at += await this.#connection.write(bytes.subarray(at));
  }

  async endWriting(): Promise<void> {
    await this.#connection.closeWrite();
  }

  pause(): void {
    if (this.#paused || this.#destroyed) return;
    this.#paused = new Promise((resolve) => {
      this.#unpause = resolve;
    });
  }

  resume(): void {
    this.#paused = null;
    this.#unpause();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.resume();
    closeQuietly(this.#connection);
    this.#left();
  }
}

function nextRoomBytes(roomBytes: number, count: number, hadRoom: number): number {
  if (count === hadRoom && 4 * hadRoom > roomBytes) return Math.min(roomBytesMax, 4 * roomBytes);
  return count < roomBytes / 8 ? Math.max(roomBytesMin, roomBytes / 4) : roomBytes;
}

/**
 * Why a stream broke, in words for people: a peer that dies cannot take leave of TLS, which rustls reports with an
 * address of its manual.
 */
function describeLoss(error: Error): string {
  return error.message.includes("close_notify") ? "the connection broke off" : error.message;
}

/** A connection may be closed already: by a timer, or by `Deno.startTls`, which takes a TCP connection over. */
export function closeQuietly(connection: Deno.Conn | undefined): void {
  try {
    connection?.close();
  } catch {
    // As said above.
  }
}

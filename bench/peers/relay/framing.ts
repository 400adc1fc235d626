/**
 * The bare relay's wire: frames of u32 body length, u32 id, body, over TLS. Writing gathers: what is added while
 * a write is under way goes out with the next one.
 */

export const headerBytes = 8;
const readBytes = 256 * 1024;

export async function dial({ port, caFile }: { port: number; caFile: string }): Promise<Deno.Conn> {
  const caCerts = [await Deno.readTextFile(caFile)];
  return await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts });
}

export class Writer {
  readonly #connection: Deno.Conn;
  #gathered = new Uint8Array(64 * 1024);
  #spare = new Uint8Array(64 * 1024);
  #length = 0;
  #writing = false;

  constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Takes a copy of whole frames. */
  add(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#gathered.set(bytes, at);
  }

  addFrame(id: number, body: Uint8Array): void {
    const at = this.#reserve(headerBytes + body.length);
    writeU32(this.#gathered, at, body.length);
    writeU32(this.#gathered, at + 4, id);
    this.#gathered.set(body, at + headerBytes);
  }

  #reserve(length: number): number {
    const at = this.#length;
    if (at + length > this.#gathered.length) {
      const larger = new Uint8Array(Math.max(at + length, 2 * this.#gathered.length));
      larger.set(this.#gathered.subarray(0, at));
      this.#gathered = larger;
    }
    this.#length += length;
    if (!this.#writing) {
      this.#writing = true;
      // What is added in this same turn still goes with the first write.
      queueMicrotask(() => this.#drain());
    }
    return at;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#length > 0) {
        const batch = this.#gathered.subarray(0, this.#length);
        [this.#gathered, this.#spare] = [this.#spare, this.#gathered];
        this.#length = 0;
        for (let at = 0; at < batch.length;) at += await this.#connection.write(batch.subarray(at));
      }
      this.#writing = false;
    } catch {
      // The connection is gone, and whoever reads from it learns so.
    }
  }
}

/** Calls back with a buffer and the range of the whole frames in it, until the connection ends. */
export async function readFrames(
  connection: Deno.Conn,
  onFrames: (bytes: Uint8Array, end: number) => void,
): Promise<void> {
  let buffer = new Uint8Array(readBytes);
  let filled = 0;
  for (;;) {
    const count = await connection.read(buffer.subarray(filled)).catch(() => null);
    if (count === null) return;
    filled += count;
    let end = 0;
    let next = frameEnd(buffer, 0, filled);
    while (next <= filled) {
      end = next;
      next = frameEnd(buffer, end, filled);
    }
    if (end > 0) onFrames(buffer, end);
    buffer.copyWithin(0, end, filled);
    filled -= end;
    if (filled === buffer.length) {
      const larger = new Uint8Array(2 * buffer.length);
      larger.set(buffer);
      buffer = larger;
    }
  }
}

/** Where the frame at `at` ends; Infinity while its header isn't there. */
export function frameEnd(bytes: Uint8Array, at: number, filled: number): number {
  return at + headerBytes > filled ? Infinity : at + headerBytes + readU32(bytes, at);
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

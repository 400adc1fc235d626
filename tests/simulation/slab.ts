/** Copies of many small pieces of bytes in a few large buffers: a buffer of its own costs more than what is in it. */

const slabBytes = 16 * 1024;
/** What is larger gets a buffer of its own. */
const pieceBytesMax = 4 * 1024;

export class Slab {
  #bytes = new Uint8Array(0);
  #used = 0;

  /** A copy that is its taker's alone. */
  copy(bytes: Uint8Array): Uint8Array {
    if (bytes.length > pieceBytesMax) return bytes.slice();
    if (this.#used + bytes.length > this.#bytes.length) {
      this.#bytes = new Uint8Array(slabBytes);
      this.#used = 0;
    }
    const start = this.#used;
    this.#bytes.set(bytes, start);
    return this.#bytes.subarray(start, this.#used += bytes.length);
  }
}

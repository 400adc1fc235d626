/**
 * Copies of inputs for modules, which may keep them or change them in place. Small ones share a slab, as small
 * Buffers of Node.js do: an ArrayBuffer of its own costs more than all else that is done for a request. What a module
 * sees beyond its input's own range are inputs of the same replica (docs/modules.md warns of it).
 */

const slabBytes = 8 * 1024;
/** Larger ones get a buffer of their own: those are what modules keep or transfer. */
const smallBytes = 1024;

export class BodyPool {
  #slab = new Uint8Array(slabBytes);
  #at = 0;

  /** A copy of `bytes[start, end)`. */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start;
    if (length > smallBytes) return bytes.slice(start, end);
    // A module that has transferred the slab's buffer has left nothing of it.
    if (this.#at + length > this.#slab.length) {
      this.#slab = new Uint8Array(slabBytes);
      this.#at = 0;
    }
    const copy = this.#slab.subarray(this.#at, this.#at += length);
    for (let i = 0; i < length; i++) copy[i] = bytes[start + i];
    return copy;
  }
}

/**
 * From the name in a frame's bytes to what belongs to it, without making a string of the name each time: the bytes
 * are compared with those seen before. Direct-mapped, so that strange names push out others but never pile up.
 */
import { headerBytes } from "./frame.ts";

const slots = 256;

interface Entry<T> {
  name: Uint8Array;
  value: T;
}

export class NameCache<T> {
  readonly #resolve: (bytes: Uint8Array, at: number) => T;
  #entries = new Array<Entry<T> | undefined>(slots).fill(undefined);

  /** `resolve` is asked for a name that isn't known; what it throws is not remembered. */
  constructor(resolve: (bytes: Uint8Array, at: number) => T) {
    this.#resolve = resolve;
  }

  /** What belongs to the name of the frame that starts at `at`. */
  get(bytes: Uint8Array, at: number): T {
    const start = at + headerBytes;
    const length = bytes[at + 6] << 8 | bytes[at + 7];
    // FNV-1a.
    let hash = 0x811c9dc5;
    for (let i = 0; i < length; i++) hash = Math.imul(hash ^ bytes[start + i], 0x01000193);
    const slot = (hash ^ hash >>> 16) & (slots - 1);
    const entry = this.#entries[slot];
    if (entry && isSame(entry.name, bytes, start, length)) return entry.value;
    const value = this.#resolve(bytes, at);
    this.#entries[slot] = { name: bytes.slice(start, start + length), value };
    return value;
  }
}

function isSame(name: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) if (name[i] !== bytes[start + i]) return false;
  return true;
}

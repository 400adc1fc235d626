/**
 * Whole numbers as bits and bytes, for what is stored of the history by the million: Exp-Golomb codes of order k
 * (Teuhola, "A compression method for clustered bit-vectors", 1978; the codes of H.264, 9.1), where a number of about
 * 2^k takes k + 2 bits and any larger one is still allowed, and LEB128 for single numbers among bytes.
 * Invariant: zeros that fill up the last byte are no number, so a run of codes needs no count.
 */

/** Numbers are below this; doubles are exact so far. */
const bitsMax = 53;
/** Orders beyond it would not fit into the four bits that name one. */
const orderMax = 15;

export class BitWriter {
  #bytes = new Uint8Array(256);
  /** Bits in use. */
  #length = 0;

  clear(): void {
    this.#bytes.fill(0, 0, (this.#length + 7) >> 3);
    this.#length = 0;
  }

  /** The low `bits` of a number, the highest first; at most 53. */
  put(number: number, bits: number): void {
    this.#reserve(bits);
    for (let left = bits; left > 0;) {
      const room = 8 - (this.#length & 7);
      const taken = Math.min(room, left);
      const part = Math.floor(number / 2 ** (left - taken)) % 2 ** taken;
      this.#bytes[this.#length >> 3] |= part << (room - taken);
      this.#length += taken;
      left -= taken;
    }
  }

  /** A number from 0, by the code of this order. */
  putGolomb(number: number, order: number): void {
    const shifted = number + 2 ** order;
    const bits = bitLength(shifted);
    const zeros = bits - order - 1;
    this.#reserve(zeros);
    this.#length += zeros;
    this.put(shifted, bits);
  }

  /** A copy of what was put; the last byte is filled up with zeros. */
  take(): Uint8Array {
    return this.#bytes.slice(0, (this.#length + 7) >> 3);
  }

  #reserve(bits: number): void {
    const needed = (this.#length + bits + 7) >> 3;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * needed);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

export class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The next `bits` as a number; what lies beyond the end is zeros. */
  take(bits: number): number {
    let number = 0;
    for (let left = bits; left > 0;) {
      const room = 8 - (this.#at & 7);
      const taken = Math.min(room, left);
      const byte = this.#bytes[this.#at >> 3] ?? 0;
      number = number * 2 ** taken + ((byte >> (room - taken)) & (2 ** taken - 1));
      this.#at += taken;
      left -= taken;
    }
    return number;
  }

  /** The next number of this order; undefined when there is none. */
  takeGolomb(order: number): number | undefined {
    const from = this.#at;
    for (;;) {
      const byte = this.#bytes[this.#at >> 3];
      if (byte === undefined) return undefined;
      const rest = (byte << (this.#at & 7)) & 0xff;
      if (rest !== 0) {
        this.#at += Math.clz32(rest) - 24;
        break;
      }
      this.#at += 8 - (this.#at & 7);
    }
    const bits = this.#at - from + order + 1;
    return bits > bitsMax ? undefined : this.take(bits) - 2 ** order;
  }
}

/** The order in which these numbers take the fewest bits, the lowest of several. */
export function bestOrder(numbers: readonly number[]): number {
  let best = 0;
  let fewest = bitsOf(numbers, 0);
  // With orders beyond that of the largest number, each takes one bit more per order.
  const last = Math.min(orderMax, bitLength(Math.max(1, ...numbers)));
  for (let order = 1; order <= last; order++) {
    const bits = bitsOf(numbers, order);
    if (bits >= fewest) continue;
    best = order;
    fewest = bits;
  }
  return best;
}

function bitsOf(numbers: readonly number[], order: number): number {
  const start = 2 ** order;
  let bits = 0;
  for (const number of numbers) bits += 2 * bitLength(number + start) - order - 1;
  return bits;
}

function bitLength(number: number): number {
  return number < 2 ** 32 ? 32 - Math.clz32(number) : 64 - Math.clz32(Math.floor(number / 2 ** 32));
}

/** Bytes one after the other, with whole numbers from 0 (LEB128) and floats among them. */
export class ByteWriter {
  readonly #bytes: number[] = [];
  readonly #view = new DataView(new ArrayBuffer(4));

  byte(value: number): void {
    this.#bytes.push(value);
  }

  number(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.#bytes.push(rest % 128 + 128);
      rest = Math.floor(rest / 128);
    }
    this.#bytes.push(rest);
  }

  float(value: number): void {
    this.#view.setFloat32(0, value);
    for (let at = 0; at < 4; at++) this.#bytes.push(this.#view.getUint8(at));
  }

  /** With their length in front. */
  bytes(value: Uint8Array): void {
    this.number(value.length);
    for (const byte of value) this.#bytes.push(byte);
  }

  take(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** Reads what `ByteWriter` wrote. Bytes that were cut off throw a `RangeError`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    if (this.isAtEnd) throw new RangeError("A stored block must hold another byte, it ends");
    return this.#bytes[this.#at++];
  }

  number(): number {
    let value = 0;
    for (let factor = 1;; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  float(): number {
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    this.#at += 4;
    return view.getFloat32(this.#at - 4);
  }

  /** A view, no copy. */
  bytes(): Uint8Array {
    const length = this.number();
    if (this.#at + length > this.#bytes.length) {
      throw new RangeError(`A stored block must hold ${length} bytes more, it ends`);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

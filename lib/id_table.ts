/**
 * Things by a number that usually counts up: ids of requests on one connection. A thing's place is its number's
 * lower bits, at a small part of what a `Map` costs; numbers whose place is taken go into a `Map` beside it, so that
 * a peer who chooses them with malice gains nothing.
 */

const placesMin = 8;
const placesMax = 1 << 16;

export class IdTable<T> {
  #ids: number[] = new Array(placesMin).fill(0);
  #values: (T | null)[] = new Array(placesMin).fill(null);
  #others: Map<number, T> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | null {
    const place = id & (this.#values.length - 1);
    const value = this.#values[place];
    if (value !== null && this.#ids[place] === id) return value;
    return this.#others?.get(id) ?? null;
  }

  has(id: number): boolean {
    return this.get(id) !== null;
  }

  /** The id must not be in the table. */
  add(id: number, value: T): void {
    if (this.#size * 2 >= this.#values.length && this.#values.length < placesMax) this.#grow();
    this.#size++;
    this.#put(id, value);
  }

  /** False when it was not in the table. */
  delete(id: number): boolean {
    const place = id & (this.#values.length - 1);
    if (this.#values[place] !== null && this.#ids[place] === id) this.#values[place] = null;
    else if (!this.#others?.delete(id)) return false;
    this.#size--;
    return true;
  }

  /** A copy of all of them, in no order. */
  values(): T[] {
    const values = this.#values.filter((value) => value !== null);
    return this.#others ? [...values, ...this.#others.values()] : values;
  }

  #put(id: number, value: T): void {
    const place = id & (this.#values.length - 1);
    if (this.#values[place] === null) {
      this.#ids[place] = id;
      this.#values[place] = value;
    } else {
      this.#others ??= new Map();
      this.#others.set(id, value);
    }
  }

  #grow(): void {
    const [ids, values, others] = [this.#ids, this.#values, this.#others];
    this.#ids = new Array(values.length * 2).fill(0);
    this.#values = new Array(values.length * 2).fill(null);
    this.#others = null;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== null) this.#put(ids[i], value);
    }
    if (others) { for (const [id, value] of others) this.#put(id, value); }
  }
}

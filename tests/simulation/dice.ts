/** Choices of one part of the simulated world, from a seed of its own: parts don't disturb each other's. */
import { createSeededRandom, type Random } from "../../lib/random.ts";

export class Dice {
  readonly random: Random;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed >>> 0;
    this.random = createSeededRandom(this.#seed);
  }

  /** Another part's, by its name. */
  fork(name: string): Dice {
    let seed = this.#seed ^ 0x9e3779b9;
    for (let i = 0; i < name.length; i++) seed = Math.imul(seed ^ name.charCodeAt(i), 0x01000193);
    return new Dice(seed ^ (seed >>> 15));
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  between(low: number, high: number): number {
    return low + this.random.next() * (high - low);
  }

  whole(low: number, high: number): number {
    return Math.floor(this.between(low, high + 1));
  }

  /** Small numbers more often than large ones: of 5 to 50, half are below 16. */
  spread(low: number, high: number): number {
    return Math.round(Math.exp(this.between(Math.log(low), Math.log(high))));
  }

  /** The mean of many such waits is `meanMs`. */
  wait(meanMs: number): number {
    return -Math.log(1 - this.random.next()) * meanMs;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.random.next() * choices.length)];
  }

  some<T>(choices: readonly T[], count: number): T[] {
    const left = [...choices];
    const picked: T[] = [];
    while (picked.length < count && left.length > 0) {
      picked.push(...left.splice(Math.floor(this.random.next() * left.length), 1));
    }
    return picked;
  }
}

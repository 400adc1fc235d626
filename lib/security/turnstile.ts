/**
 * Lets few pieces of expensive work run at a time, first come first served; the rest wait, up to a bound.
 * One password check takes 32 MiB and a whole core for a while: a hundred at once would take down a Pi.
 */
import { SqwishError } from "../errors.ts";

export class Turnstile {
  readonly #waitingMax: number;
  readonly #action: string;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** `action` names the work in the refusal: "sign-ins". */
  constructor(options: { runningMax: number; waitingMax: number; action: string }) {
    this.#free = options.runningMax;
    this.#waitingMax = options.waitingMax;
    this.#action = options.action;
  }

  /** Runs `work` when its turn has come. Throws `queue_full` when too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#turn();
    try {
      return await work();
    } finally {
      // The place is handed over, not freed, so that nobody who comes later can take it.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.length >= this.#waitingMax) {
      throw new SqwishError(
        "queue_full",
        `At most ${this.#waitingMax} ${this.#action} may wait, ${this.#waiting.length} do; try again in a second`,
        { details: { retryAfterMs: 1000 } },
      );
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

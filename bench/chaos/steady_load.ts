/**
 * A steady stream of requests over the client library, with every outcome kept: half of them idempotent, half not.
 * What it sends is due by the clock, whatever became of what was sent before.
 */
import { type Sqwish, SqwishError } from "../../client.ts";
import type { Sent } from "./ledger.ts";

export interface LoadOptions {
  endpoint: string;
  perSecond: number;
  /** What the module waits before it answers. */
  workMs: number;
  timeoutMs: number;
  /** It ends by itself after so many. */
  countMax: number;
  /** In front of every id. */
  prefix: string;
}

/** An outcome that is this late after its deadline never comes. */
const outcomeGraceMs = 5000;

export class SteadyLoad {
  readonly sent: Sent[] = [];
  readonly #sqwish: Sqwish;
  readonly #options: LoadOptions;
  readonly #startedMs = performance.now();
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(sqwish: Sqwish, options: LoadOptions) {
    this.#sqwish = sqwish;
    this.#options = options;
    this.#timer = setInterval(() => this.#sendDue(), 5);
  }

  get answered(): number {
    return this.sent.reduce((count, { outcome }) => outcome && !outcome.error ? count + 1 : count, 0);
  }

  /** Whether a request that was sent after `sinceMs` (wall clock) has been answered with a reply. */
  answeredSince(sinceMs: number): Sent | undefined {
    return this.sent.find(({ sentAtMs, outcome }) => sentAtMs >= sinceMs && outcome && !outcome.error);
  }

  /** Sends nothing more, and waits until each has its outcome or can't get one any more. */
  async stop(): Promise<Sent[]> {
    clearInterval(this.#timer);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.timeoutMs + outcomeGraceMs);
    });
    await Promise.race([Promise.all(this.#pending), bound]);
    clearTimeout(timer);
    return this.sent;
  }

  #sendDue(): void {
    const due = (performance.now() - this.#startedMs) / 1000 * this.#options.perSecond;
    while (this.sent.length < Math.min(due, this.#options.countMax)) {
      const one = this.#send(this.sent.length);
      this.#pending.add(one);
      void one.then(() => this.#pending.delete(one));
    }
  }

  async #send(number: number): Promise<void> {
    const { endpoint, workMs, timeoutMs, prefix } = this.#options;
    const sent: Sent = { id: `${prefix}${number}`, idempotent: number % 2 === 0, sentAtMs: Date.now() };
    this.sent.push(sent);
    try {
      await this.#sqwish.invoke(endpoint, { id: sent.id, ms: workMs }, {
        timeoutMs,
        idempotent: sent.idempotent,
      });
      sent.outcome = { atMs: Date.now() };
    } catch (thrown) {
      if (!(thrown instanceof SqwishError)) throw thrown;
      const { code, mayHaveRun } = thrown;
      sent.outcome = { atMs: Date.now(), error: { code, mayHaveRun } };
    }
  }
}

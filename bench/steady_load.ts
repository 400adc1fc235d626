/**
 * A steady stream of requests over the client library, with every outcome kept, for faults and for rollouts alike.
 * What it sends is due by the clock, whatever became of what was sent before: open, as a crowd of callers is.
 */
import { type Sqwish, SqwishError } from "../client.ts";
import type { ErrorCode, MayHaveRun } from "../lib/errors.ts";

export interface LoadOptions {
  endpoint: string;
  perSecond: number;
  input(id: string): unknown;
  /** The endpoint's own when absent. */
  timeoutMs?: number;
  /** Whether this one, by its number, may be run again. */
  isIdempotent?(number: number): boolean;
  /** It ends by itself after so many. */
  countMax?: number;
  /** In front of every id. */
  prefix?: string;
}

export interface Sent {
  id: string;
  idempotent: boolean;
  /** Wall clock, ms. */
  sentAtMs: number;
  /** Missing: none came yet, or ever. */
  outcome?: { atMs: number; error?: { code: ErrorCode; mayHaveRun: MayHaveRun; message: string } };
}

const tickMs = 5;
/** An outcome that is this late after its deadline never comes. */
const outcomeGraceMs = 5000;
/** More than the endpoints of a benchmark take by themselves. */
const timeoutMsMax = 60_000;

export class SteadyLoad {
  readonly sent: Sent[] = [];
  readonly #sqwish: Sqwish;
  readonly #options: LoadOptions;
  readonly #startedMs = performance.now();
  #tickedMs = this.#startedMs;
  /** The longest time this process did not get to send what was due, ms: the machine's doing, not the cluster's. */
  stalledMs = 0;
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(sqwish: Sqwish, options: LoadOptions) {
    this.#sqwish = sqwish;
    this.#options = options;
    this.#timer = setInterval(() => this.#sendDue(), tickMs);
  }

  /** How many have their outcome. */
  get ended(): number {
    return this.sent.length - this.#pending.size;
  }

  /** A request that was sent after `sinceMs` (wall clock) and has been answered with a reply. */
  answeredSince(sinceMs: number): Sent | undefined {
    return this.sent.find(({ sentAtMs, outcome }) => sentAtMs >= sinceMs && outcome && !outcome.error);
  }

  /** Sends nothing more, and waits until each has its outcome or can't get one any more. */
  async stop(): Promise<Sent[]> {
    clearInterval(this.#timer);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, (this.#options.timeoutMs ?? timeoutMsMax) + outcomeGraceMs);
    });
    await Promise.race([Promise.all(this.#pending), bound]);
    clearTimeout(timer);
    return this.sent;
  }

  #sendDue(): void {
    const { perSecond, countMax = Infinity } = this.#options;
    const nowMs = performance.now();
    this.stalledMs = Math.max(this.stalledMs, nowMs - this.#tickedMs - tickMs);
    this.#tickedMs = nowMs;
    const due = Math.floor((nowMs - this.#startedMs) / 1000 * perSecond);
    while (this.sent.length < Math.min(due, countMax)) {
      const one = this.#send(this.sent.length);
      this.#pending.add(one);
      void one.then(() => this.#pending.delete(one));
    }
  }

  async #send(number: number): Promise<void> {
    const { endpoint, input, timeoutMs, prefix = "", isIdempotent = () => false } = this.#options;
    const sent: Sent = { id: `${prefix}${number}`, idempotent: isIdempotent(number), sentAtMs: Date.now() };
    this.sent.push(sent);
    try {
      await this.#sqwish.invoke(endpoint, input(sent.id), { timeoutMs, idempotent: sent.idempotent });
      sent.outcome = { atMs: Date.now() };
    } catch (thrown) {
      if (!(thrown instanceof SqwishError)) throw thrown;
      const { code, mayHaveRun, message } = thrown;
      sent.outcome = { atMs: Date.now(), error: { code, mayHaveRun, message } };
    }
  }
}

/**
 * Load for `client bench`: as many requests at once as asked for, or at a steady rate. With a rate, a request that
 * had to wait for its turn counts from the moment it should have started: no coordinated omission (Tene, "How NOT
 * to Measure Latency", 2013; the shared schedule is that of wrk2).
 */
import type { Clock } from "../clock.ts";
import { asSqwishError, type ErrorCode } from "../errors.ts";
import { Histogram } from "../metrics/histogram.ts";
import { pause } from "./commands/context.ts";

export interface LoadOptions {
  clock: Clock;
  /** Requests at once, at most. */
  concurrency: number;
  /** Starts per second; left out: the next as soon as one has ended. */
  rate?: number;
  durationMs: number;
  signal: AbortSignal;
  /** One request; rejects when it failed. */
  send(): Promise<unknown>;
}

/** Upper bounds of the bars, in ms: 0.1, 0.2, 0.5, 1 … 50 000; the last bar has none. */
export const barBoundsMs: readonly number[] = [-1, 0, 1, 2, 3, 4].flatMap((power) =>
  [1, 2, 5].map((digit) => Number(`${digit}e${power}`))
);

/** A waiter's timer is never exact; being this late is the timer's fault, not the cluster's. */
const timerSlackMs = 2;

/** Refusals that another request gets too: there is nothing to measure. */
const hopelessCodes: ReadonlySet<ErrorCode> = new Set([
  "not_found",
  "forbidden",
  "unauthenticated",
  "version_mismatch",
]);

export class Load {
  /** Latency of the requests that ended well, in µs. */
  readonly latency = new Histogram();
  readonly bars: number[] = new Array(barBoundsMs.length + 1).fill(0);
  readonly errors = new Map<string, number>();
  ok = 0;
  maxMs = 0;
  sumMs = 0;
  /** Starts that the rate called for and that never happened: everything was busy. */
  unsent = 0;
  elapsedMs = 0;
  lastError: unknown;
  readonly #options: LoadOptions;
  #startedMs = 0;
  #taken = 0;
  /** Nothing has ended well and the next request would fare no better. */
  #hopeless = false;

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  get failed(): number {
    let count = 0;
    for (const each of this.errors.values()) count += each;
    return count;
  }

  /** In ms; the histogram is right within 1 %, so the slowest reply bounds it. 0 when there is none. */
  quantileMs(q: number): number {
    return Math.min((this.latency.quantile(q) ?? 0) / 1000, this.maxMs);
  }

  /** Resolves when the time is over (or the signal aborted) and every request has its outcome. */
  async run(): Promise<void> {
    const { clock, concurrency, rate, durationMs } = this.#options;
    this.#startedMs = clock.monotonicMs();
    await Promise.all(Array.from({ length: concurrency }, () => this.#worker()));
    this.elapsedMs = clock.monotonicMs() - this.#startedMs;
    if (rate !== undefined) {
      const called = Math.ceil(Math.min(durationMs, this.elapsedMs) / 1000 * rate);
      this.unsent = Math.max(0, called - this.#taken);
    }
  }

  async #worker(): Promise<void> {
    const { clock, durationMs, rate, signal } = this.#options;
    const endMs = this.#startedMs + durationMs;
    // One reading of the clock per request: the end of one is the start of the next.
    let nowMs = clock.monotonicMs();
    while (!signal.aborted && !this.#hopeless && nowMs < endMs) {
      let startMs = nowMs;
      if (rate !== undefined) {
        const dueMs = this.#startedMs + this.#taken / rate * 1000;
        if (dueMs >= endMs) return;
        this.#taken++;
        if (dueMs > nowMs) await pause(clock, dueMs - nowMs, signal);
        if (signal.aborted) return;
        startMs = clock.monotonicMs() - dueMs > timerSlackMs ? dueMs : clock.monotonicMs();
      }
      try {
        await this.#options.send();
        nowMs = clock.monotonicMs();
        this.#observe(nowMs - startMs);
      } catch (thrown) {
        if (signal.aborted) return;
        const { code } = asSqwishError(thrown, "A request");
        this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
        this.lastError = thrown;
        this.#hopeless ||= this.ok === 0 && hopelessCodes.has(code);
        await this.#afterFailure();
        nowMs = clock.monotonicMs();
      }
    }
  }

  /** What is refused at once would otherwise be asked for again at once, by every worker, thousands of times. */
  #afterFailure(): Promise<void> {
    return pause(this.#options.clock, 1, this.#options.signal);
  }

  #observe(ms: number): void {
    this.ok++;
    this.sumMs += ms;
    this.maxMs = Math.max(this.maxMs, ms);
    this.latency.observe(ms * 1000);
    let bar = 0;
    while (bar < barBoundsMs.length && ms > barBoundsMs[bar]) bar++;
    this.bars[bar]++;
  }
}

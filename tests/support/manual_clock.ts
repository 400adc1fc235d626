/** A clock that moves only when a test advances it; timers fire in order of their time, then of their creation. */
import type { Clock } from "../../lib/clock.ts";

interface Timer {
  dueMs: number;
  order: number;
  periodMs: number | null;
  action: () => void;
}

export class ManualClock implements Clock {
  #wallOffsetMs: number;
  #nowMs = 0;
  #order = 0;
  #timers = new Set<Timer>();

  constructor(wallMs = 1_700_000_000_000) {
    this.#wallOffsetMs = wallMs;
  }

  nowMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): () => void {
    return this.#add(delayMs, null, action);
  }

  every(periodMs: number, action: () => void): () => void {
    return this.#add(periodMs, periodMs, action);
  }

  /** Moves time forward, firing what falls due at its own moment. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      let next: Timer | undefined;
      for (const timer of this.#timers) {
        if (timer.dueMs > endMs) continue;
        if (!next || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order)) {
          next = timer;
        }
      }
      if (!next) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      if (next.periodMs === null) this.#timers.delete(next);
      else next.dueMs += next.periodMs;
      next.action();
    }
    this.#nowMs = endMs;
  }

  /** Lets the wall clock jump while monotonic time goes on. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  get pendingTimers(): number {
    return this.#timers.size;
  }

  #add(delayMs: number, periodMs: number | null, action: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, periodMs, action };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }
}

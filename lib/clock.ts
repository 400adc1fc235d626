/**
 * The clock seam. Everything that waits or reads the time takes a `Clock`, so that tests and the
 * simulator can hand in one that only moves when told to.
 */

export interface Clock {
  /** Wall-clock time, ms since the Unix epoch. May jump; for showing and storing only. */
  nowMs(): number;
  /** Monotonic time in ms with a fraction; never jumps. For every duration and deadline. */
  monotonicMs(): number;
  /** Runs `action` once, `delayMs` from now. Returns the function that cancels it. */
  after(delayMs: number, action: () => void): () => void;
  /** Runs `action` every `periodMs` until cancelled by the returned function. */
  every(periodMs: number, action: () => void): () => void;
}

/** The real clock. `setTimeout` can't wait longer than 2^31 - 1 ms; longer delays are cut to that. */
export function createSystemClock(): Clock {
  return {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    after(delayMs, action) {
      const timer = setTimeout(action, Math.min(delayMs, 0x7fff_ffff));
      return () => clearTimeout(timer);
    },
    every(periodMs, action) {
      const timer = setInterval(action, periodMs);
      return () => clearInterval(timer);
    },
  };
}

/** Resolves after `delayMs` on the given clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.after(delayMs, resolve));
}

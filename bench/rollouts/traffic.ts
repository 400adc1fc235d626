/** A steady rate of requests to one endpoint, with every outcome kept: what a trial's changes did to whoever was calling. */
import type { Sqwish } from "../../client.ts";

export interface Outcome {
  /** When it was sent, by `performance.now()`. */
  atMs: number;
  tookMs: number;
  /** "" when it ended well. */
  error: string;
}

export interface Steady {
  readonly outcomes: readonly Outcome[];
  /** Resolves with everything when the last has its outcome. */
  stop(): Promise<readonly Outcome[]>;
}

const tickMs = 5;

/** Sends `perSecond` requests, whatever becomes of them: open, as a crowd of callers is. */
export function sendSteadily(sqwish: Sqwish, endpoint: string, input: unknown, perSecond: number): Steady {
  const outcomes: Outcome[] = [];
  const running = new Set<Promise<void>>();
  const startedMs = performance.now();
  let sent = 0;
  async function one(): Promise<void> {
    const atMs = performance.now();
    const error = await sqwish.invoke(endpoint, input).then(
      () => "",
      (thrown) => thrown instanceof Error ? thrown.message : String(thrown),
    );
    outcomes.push({ atMs, tookMs: performance.now() - atMs, error });
  }
  const timer = setInterval(() => {
    const due = Math.floor((performance.now() - startedMs) / 1000 * perSecond);
    for (; sent < due; sent++) {
      const request = one();
      running.add(request);
      void request.finally(() => running.delete(request));
    }
  }, tickMs);
  return {
    outcomes,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
      return outcomes;
    },
  };
}

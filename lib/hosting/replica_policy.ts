/**
 * The decisions about a replica's runners (pure): who gets the next request, when to start another runner or end one,
 * how long to wait after a failure. Times are ms on one monotonic clock.
 */

export const runnerTimes = {
  /** How often a replica with work is looked at. */
  tickMs: 25,
  /** Silence before a busy runner is asked for a sign of life. */
  probeAfterMs: 25,
  /** A runner that owes its sign of life for this long is stalled: it gets nothing new. */
  stalledMs: 50,
  /** How long a module may go on past its deadline without reacting before its runner is killed. */
  graceMs: 250,
  /** The same, when another request than the late one is more likely to hold the runner, or it can't be known. */
  innocentGraceMs: 2000,
  /** How long a runner's main thread may take to say what had not started. */
  takeBackMs: 200,
  /** Memory is read this often while there is work, and with the housekeeping otherwise. */
  memoryMs: 100,
  housekeepingMs: 1000,
  /** A second runner without work for this long is ended. */
  idleMs: 60_000,
  /** A runner that has lived for this long has not crashed "again". */
  settledMs: 10_000,
  /** For the modules' `stop()`. */
  stopMs: 5000,
  /** Between the abort of what runs and the end of the runner, when a replica is stopped. */
  abortMs: 1000,
  retryMsMin: 500,
  retryMsMax: 30_000,
} as const;

export interface RunnerFacts {
  /** It reads too slowly for what it has been sent. */
  full: boolean;
  state: "loading" | "ready" | "stopping" | "ended";
  outstanding: number;
  stalledMs: number;
  idleMs: number;
}

/** The ready runner with the least work among those that answer; -1 for none. */
export function chooseRunner(runners: readonly Readonly<RunnerFacts>[]): number {
  let chosen = -1;
  for (let i = 0; i < runners.length; i++) {
    const { state, full, stalledMs, outstanding } = runners[i];
    if (state !== "ready" || full || stalledMs >= runnerTimes.stalledMs) continue;
    if (chosen < 0 || outstanding < runners[chosen].outstanding) chosen = i;
  }
  return chosen;
}

/** Another runner is started when work waits, none is on its way, and the cores allow it. */
export function shouldGrow(
  runners: readonly Readonly<RunnerFacts>[],
  waiting: number,
  runnersMax: number,
): boolean {
  if (waiting === 0 || chooseRunner(runners) >= 0) return false;
  const alive = runners.filter((runner) => runner.state === "ready" || runner.state === "loading");
  return alive.length < runnersMax && !alive.some((runner) => runner.state === "loading");
}

/** True when what a stalled runner has not started would be served sooner elsewhere. */
export function shouldTakeBack(
  runners: readonly Readonly<RunnerFacts>[],
  stalled: number,
  runnersMax: number,
): boolean {
  if (runners[stalled].state !== "ready" || runners[stalled].stalledMs < runnerTimes.stalledMs) return false;
  const others = runners.filter((runner, i) =>
    i !== stalled && runner.state !== "ended" && runner.state !== "stopping"
  );
  return chooseRunner(runners) >= 0 || others.some((runner) => runner.state === "loading") ||
    others.length + 1 < runnersMax;
}

/** The runner to end because it has had nothing to do; -1 for none. The last one always stays. */
export function chooseIdle(runners: readonly Readonly<RunnerFacts>[]): number {
  const ready = runners.filter((runner) => runner.state === "ready");
  if (ready.length < 2) return -1;
  return runners.findLastIndex((runner) => runner.state === "ready" && runner.idleMs >= runnerTimes.idleMs);
}

export interface LateRequest {
  /** Since its deadline. */
  lateMs: number;
  /** It started after every other that still runs there. */
  startedLast: boolean;
  /** Since the deadline of the one that started last; negative before it. */
  lastLateMs: number;
}

/**
 * Whether a stalled runner is to be killed for a late request. An endless loop is nearly always in the request that
 * started last, since nothing starts after it; the one that started last is therefore given until its own deadline,
 * but an earlier one that loops after a wait can't hold the runner for ever either.
 */
export function shouldKill(late: LateRequest, stalledMs: number): boolean {
  if (stalledMs < runnerTimes.graceMs || late.lateMs < runnerTimes.graceMs) return false;
  return late.startedLast || late.lastLateMs >= runnerTimes.graceMs ||
    late.lateMs >= runnerTimes.innocentGraceMs;
}

/** The wait before try number `failures + 1`: 0.5 s doubling to 30 s. */
export function retryDelayMs(failures: number): number {
  return Math.min(runnerTimes.retryMsMax, runnerTimes.retryMsMin * 2 ** Math.max(0, failures - 1));
}

/**
 * The slowest and the failed requests of the last hour, each with where its time went. From the dispatcher's outcomes
 * → here → `/v1/requests` and `client why`. Invariant: an ordinary request costs one comparison and no memory; per
 * minute at most so many of each kind are kept, for an hour.
 */
import { formatRequestId } from "../protocol/frame.ts";
import type { RequestView } from "../protocol/views.ts";
import type { RequestOutcome } from "../request_outcome.ts";

interface Minute {
  startMs: number;
  /** The slowest first. */
  slow: RequestView[];
  failed: RequestView[];
  /** Failures that there was no room for. */
  uncounted: number;
}

const minuteMs = 60_000;
const minutesKept = 60;
const slowPerMinute = 10;
const failedPerMinute = 20;
const messageCharactersMax = 300;

export class RecentRequests {
  readonly #epoch: number;
  #minutes: Minute[] = [];
  /** A request must have taken longer than this to be among the slow ones of this minute. */
  #slowerThanMs = 0;

  /** `epoch`: the upper half of every request id. */
  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  observe(outcome: RequestOutcome, nowMs: number): void {
    const minute = this.#minuteOf(nowMs);
    if (outcome.code !== "ok") {
      // A caller that changes its mind is no failure.
      if (outcome.code === "cancelled") return;
      if (minute.failed.length < failedPerMinute) minute.failed.push(this.#viewOf(outcome, nowMs));
      else minute.uncounted++;
      return;
    }
    if (outcome.totalMs <= this.#slowerThanMs) return;
    const { slow } = minute;
    const at = slow.findIndex((other) => other.totalMs < outcome.totalMs);
    slow.splice(at < 0 ? slow.length : at, 0, this.#viewOf(outcome, nowMs));
    if (slow.length > slowPerMinute) slow.pop();
    if (slow.length === slowPerMinute) this.#slowerThanMs = slow[slowPerMinute - 1].totalMs;
  }

  /** The slowest that ended well, the slowest first. */
  slowest(filter: { endpoint?: string; sinceMs: number; limit: number }): RequestView[] {
    return this.#kept(filter, (minute) => minute.slow)
      .sort((left, right) => right.totalMs - left.totalMs).slice(0, filter.limit);
  }

  /** The newest that failed, the newest first. */
  failed(filter: { endpoint?: string; sinceMs: number; limit: number }): RequestView[] {
    return this.#kept(filter, (minute) => minute.failed)
      .sort((left, right) => right.atMs - left.atMs).slice(0, filter.limit);
  }

  /** How many failures of the time since then are not kept, for want of room. */
  uncounted(sinceMs: number): number {
    return this.#minutes.filter(({ startMs }) => startMs + minuteMs > sinceMs)
      .reduce((sum, minute) => sum + minute.uncounted, 0);
  }

  #kept(
    { endpoint, sinceMs }: { endpoint?: string; sinceMs: number },
    of: (minute: Minute) => RequestView[],
  ): RequestView[] {
    return this.#minutes.flatMap(of).filter((request) =>
      request.atMs >= sinceMs && (endpoint === undefined || request.endpoint === endpoint)
    );
  }

  /** A wall clock that was set back stays in its minute until it has caught up. */
  #minuteOf(nowMs: number): Minute {
    const last = this.#minutes.at(-1);
    if (last && nowMs < last.startMs + minuteMs) return last;
    const minute = { startMs: Math.floor(nowMs / minuteMs) * minuteMs, slow: [], failed: [], uncounted: 0 };
    this.#minutes = this.#minutes.filter(({ startMs }) => startMs > nowMs - minutesKept * minuteMs);
    this.#minutes.push(minute);
    this.#slowerThanMs = 0;
    return minute;
  }

  #viewOf(outcome: RequestOutcome, nowMs: number): RequestView {
    const { endpoint, revision, agent, code, queueMs, totalMs, runUs, requester, number } = outcome;
    return {
      requestId: formatRequestId(this.#epoch, number),
      atMs: nowMs,
      endpoint,
      revision,
      agent,
      code,
      requester,
      ...timesOf(queueMs, totalMs, runUs),
      ...(outcome.message ? { message: outcome.message.slice(0, messageCharactersMax) } : {}),
    };
  }
}

/** Where the time went; what is neither queue nor run was on the way. Without a reply nobody knows the two apart. */
function timesOf(queueMs: number, totalMs: number, runUs: number) {
  const times = { queueMs: rounded(queueMs), totalMs: rounded(totalMs) };
  if (runUs === 0) return times;
  const runMs = rounded(runUs / 1000);
  return { ...times, runMs, networkMs: rounded(Math.max(0, totalMs - queueMs - runMs)) };
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}

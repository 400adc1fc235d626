/**
 * The slowest and the failed requests of the last hour by endpoint, each with where its time went, and how many there
 * were. From the dispatcher's outcomes → here → `/v1/requests` and `client why`. Invariant: an ordinary request costs one
 * look-up, one comparison and no memory; of a minute that is over so many requests are kept however many endpoints
 * there are, for an hour.
 */
import type { ErrorCode } from "../errors.ts";
import { formatRequestId } from "../protocol/frame.ts";
import type { RequestsView, RequestView } from "../protocol/views.ts";
import type { RequestOutcome } from "../request_outcome.ts";

/** What one endpoint did in a minute. */
interface Kept {
  answered: number;
  /** The slowest first. */
  slow: RequestView[];
  /** Only what took longer can be among them. */
  slowerThanMs: number;
  failures: Map<ErrorCode, number>;
  failed: RequestView[];
}

interface Minute {
  startMs: number;
  endpoints: Map<string, Kept>;
}

export interface RequestsFilter {
  /** All when left out. */
  endpoint?: string;
  sinceMs: number;
  /** Of each list. */
  limit: number;
}

const minuteMs = 60_000;
const minutesKept = 60;
const slowPerMinute = 10;
/** Of one kind of failure: a flood of one kind must not hide the others. */
const failedPerMinute = 10;
/** Of all endpoints together, once the minute is over; each keeps one at least. */
const keptPerMinute = 100;
const endpointsPerMinute = 256;
/** Where endpoints beyond the bound are counted; no endpoint has this name. */
const others = "…";
const messageCharactersMax = 300;

export class RecentRequests {
  readonly #epoch: number;
  readonly #startedAtMs: number;
  #minutes: Minute[] = [];

  /** `epoch`: the upper half of every request id. `nowMs`: what was before is not known. */
  constructor(epoch: number, nowMs: number) {
    this.#epoch = epoch;
    this.#startedAtMs = nowMs;
  }

  observe(outcome: RequestOutcome, nowMs: number): void {
    const { code } = outcome;
    // A caller that changes its mind is no failure.
    if (code === "cancelled") return;
    const kept = this.#keptOf(this.#minuteOf(nowMs), outcome.endpoint);
    if (code !== "ok") {
      const count = (kept.failures.get(code) ?? 0) + 1;
      kept.failures.set(code, count);
      if (count <= failedPerMinute) kept.failed.push(this.#viewOf(outcome, nowMs));
      return;
    }
    kept.answered++;
    if (outcome.totalMs <= kept.slowerThanMs) return;
    const { slow } = kept;
    const at = slow.findIndex((other) => other.totalMs < outcome.totalMs);
    slow.splice(at < 0 ? slow.length : at, 0, this.#viewOf(outcome, nowMs));
    if (slow.length > slowPerMinute) slow.pop();
    if (slow.length === slowPerMinute) kept.slowerThanMs = slow[slowPerMinute - 1].totalMs;
  }

  /** The slowest first, the newest failure first; counts are of whole minutes, from `sinceMs` of the answer. */
  list({ endpoint, sinceMs, limit }: RequestsFilter): RequestsView {
    const firstMs = Math.floor(sinceMs / minuteMs) * minuteMs;
    const of = (minute: Minute): Kept[] =>
      endpoint === undefined
        ? [...minute.endpoints.values()]
        : [endpoint, others].flatMap((name) => minute.endpoints.get(name) ?? []);
    const isAsked = (request: RequestView) =>
      request.atMs >= sinceMs && (endpoint === undefined || request.endpoint === endpoint);
    const kept = this.#minutes.flatMap(of);
    const counted = this.#minutes.filter(({ startMs }) => startMs >= firstMs)
      .flatMap((minute) => endpoint === undefined ? of(minute) : minute.endpoints.get(endpoint) ?? []);
    return {
      slowest: kept.flatMap(({ slow }) => slow).filter(isAsked)
        .sort((left, right) => right.totalMs - left.totalMs).slice(0, limit),
      failed: kept.flatMap(({ failed }) => failed).filter(isAsked)
        .sort((left, right) => right.atMs - left.atMs).slice(0, limit),
      answered: counted.reduce((sum, { answered }) => sum + answered, 0),
      failures: sumFailures(counted),
      sinceMs: Math.max(firstMs, this.#startedAtMs),
    };
  }

  #keptOf({ endpoints }: Minute, endpoint: string): Kept {
    const known = endpoints.get(endpoint);
    if (known) return known;
    const name = endpoints.size < endpointsPerMinute ? endpoint : others;
    const kept = endpoints.get(name) ??
      { answered: 0, slow: [], slowerThanMs: -1, failures: new Map(), failed: [] };
    endpoints.set(name, kept);
    return kept;
  }

  /** A wall clock that was set back stays in its minute until it has caught up. */
  #minuteOf(nowMs: number): Minute {
    const last = this.#minutes.at(-1);
    if (last && nowMs < last.startMs + minuteMs) return last;
    if (last) shorten(last);
    const minute = { startMs: Math.floor(nowMs / minuteMs) * minuteMs, endpoints: new Map() };
    this.#minutes = this.#minutes.filter(({ startMs }) => startMs > nowMs - minutesKept * minuteMs);
    this.#minutes.push(minute);
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

/** The minute is over: its endpoints share the room. */
function shorten({ endpoints }: Minute): void {
  const room = Math.max(1, Math.floor(keptPerMinute / endpoints.size));
  for (const kept of endpoints.values()) {
    kept.slow = kept.slow.slice(0, room);
    // The newest of each kind before more of one.
    kept.failed = [...Map.groupBy(kept.failed, ({ code }) => code).values()]
      .flatMap((own) => own.slice(-Math.max(1, Math.floor(room / kept.failures.size))));
  }
}

function sumFailures(counted: readonly Kept[]): RequestsView["failures"] {
  const sums = new Map<ErrorCode, number>();
  for (const { failures } of counted) {
    for (const [code, count] of failures) sums.set(code, (sums.get(code) ?? 0) + count);
  }
  return [...sums].map(([code, count]) => ({ code, count })).sort((left, right) => right.count - left.count);
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

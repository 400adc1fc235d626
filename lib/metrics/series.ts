/**
 * The live memory of one endpoint, agent or queue: the last 15 minutes by the second in a ring, and the 10 s
 * window that becomes the next stored sample. Filled by `ingest`, read by `query`.
 * Invariant: memory is fixed once a series exists; nothing here reads a clock.
 */
import { type ErrorCode, errorTable } from "../errors.ts";
import { Histogram } from "./histogram.ts";
import { agentColumns, type AgentGauges, type EndpointValue, rounded } from "./sample.ts";

/** Seconds a ring holds. */
export const ringSeconds = 900;

/** Numbers by second, a few columns each; a second that was never set reads as NaN. */
export class SecondRing {
  readonly #seconds = new Float64Array(ringSeconds).fill(-1);
  readonly #columns: Float32Array[];

  constructor(columns: number) {
    this.#columns = Array.from({ length: columns }, () => new Float32Array(ringSeconds));
  }

  set(second: number, column: number, value: number): void {
    const slot = second % ringSeconds;
    if (this.#seconds[slot] !== second) {
      this.#seconds[slot] = second;
      for (const each of this.#columns) each[slot] = NaN;
    }
    this.#columns[column][slot] = value;
  }

  get(second: number, column: number): number {
    const slot = second % ringSeconds;
    return this.#seconds[slot] === second ? this.#columns[column][slot] : NaN;
  }

  /** The sum of a column over the `length` seconds up to and with `last`. */
  sum(last: number, length: number, column: number): number {
    let sum = 0;
    for (let second = last - length + 1; second <= last; second++) sum += this.get(second, column) || 0;
    return sum;
  }
}

/** Columns of an endpoint's ring; latencies in µs. */
export const endpointRing = { requests: 0, errors: 1, p50: 2, p95: 3, p99: 4 } as const;

/** Upper bounds of the exported duration histogram, seconds; the last bucket has none. */
export const durationBoundsS = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
  60,
] as const;

/** Outcomes by wire number, "ok" as 0. */
const codesMax = 1 + Math.max(...Object.values(errorTable).map((row) => row.wire));
/** Refused before it was admitted: counted, but its near-zero latency would say nothing of the endpoint's. */
const isRefused = Array.from({ length: codesMax }, () => false);
/** Neither the caller's change of mind nor success is an error. */
const isError = Array.from(
  { length: codesMax },
  (_, wire) => wire !== 0 && wire !== errorTable.cancelled.wire,
);
for (const [code, { wire, mayHaveRun }] of Object.entries(errorTable)) {
  isRefused[wire] = mayHaveRun === "no" && code !== "no_ready_replica";
}

/** How many closed 10 s windows are remembered for the quantiles of the last minute. */
const recentWindows = 6;

export class EndpointSeries {
  readonly ring = new SecondRing(5);
  /** Since the manager's start: requests by wire number of their outcome, durations by bound. */
  readonly totalByCode = new Float64Array(codesMax);
  readonly totalByDuration = new Float64Array(durationBoundsS.length + 1);
  totalDurationS = 0;
  totalErrors = 0;
  /** The second or the window has something in it. */
  isTouched = false;
  isWindowTouched = false;
  readonly #second = new Histogram();
  #secondRequests = 0;
  #secondErrors = 0;
  readonly #window = new Histogram();
  #windowRequests = 0;
  #windowErrors = 0;
  #recent: { atMs: number; latency: EndpointValue["l"] }[] = [];

  /** Counts one outcome. Allocates nothing. */
  observe(code: "ok" | ErrorCode, totalMs: number): void {
    const wire = code === "ok" ? 0 : errorTable[code].wire;
    this.#secondRequests += 1;
    this.totalByCode[wire] += 1;
    if (isError[wire]) {
      this.#secondErrors += 1;
      this.totalErrors += 1;
    }
    if (isRefused[wire]) return;
    this.#second.observe(totalMs * 1000);
    const seconds = totalMs / 1000;
    this.totalDurationS += seconds;
    let bucket = 0;
    while (bucket < durationBoundsS.length && seconds > durationBoundsS[bucket]) bucket += 1;
    this.totalByDuration[bucket] += 1;
  }

  /** Requests since the manager's start, whatever became of them. */
  totalRequests(): number {
    return this.totalByCode.reduce((sum, count) => sum + count, 0);
  }

  /** Adds the running second of another series: how the cluster's own series is filled. */
  absorb(other: EndpointSeries): void {
    this.#secondRequests += other.#secondRequests;
    this.#secondErrors += other.#secondErrors;
    this.#second.merge(other.#second);
  }

  /** Moves the running second into the ring and the window. */
  closeSecond(second: number): void {
    const { ring } = this;
    ring.set(second, endpointRing.requests, this.#secondRequests);
    ring.set(second, endpointRing.errors, this.#secondErrors);
    if (this.#second.count > 0) {
      ring.set(second, endpointRing.p50, this.#second.quantile(0.5)!);
      ring.set(second, endpointRing.p95, this.#second.quantile(0.95)!);
      ring.set(second, endpointRing.p99, this.#second.quantile(0.99)!);
    }
    this.#window.merge(this.#second);
    this.#windowRequests += this.#secondRequests;
    this.#windowErrors += this.#secondErrors;
    this.#second.clear();
    this.#secondRequests = 0;
    this.#secondErrors = 0;
    this.isTouched = false;
    this.isWindowTouched = true;
  }

  /** What the running window holds so far. */
  windowValue(): EndpointValue {
    return { n: this.#windowRequests, e: this.#windowErrors, l: this.#window.encode() };
  }

  /** Ends the window that began at `atMs` and returns its value. */
  closeWindow(atMs: number): EndpointValue {
    const value = this.windowValue();
    this.#recent.push({ atMs, latency: value.l });
    if (this.#recent.length > recentWindows) this.#recent.shift();
    this.#window.clear();
    this.#windowRequests = 0;
    this.#windowErrors = 0;
    this.isWindowTouched = false;
    return value;
  }

  /** The latency of every window that ended after `sinceMs` and of the running one, into `histogram`. */
  addRecent(histogram: Histogram, sinceMs: number, windowMs: number): void {
    histogram.merge(this.#window);
    for (const { atMs, latency } of this.#recent) {
      if (atMs + windowMs > sinceMs) histogram.merge(latency);
    }
  }
}

export class AgentSeries {
  readonly ring = new SecondRing(agentColumns.length);
  /** The last values that were handed to the store; undefined before the first. */
  written: AgentGauges | null | undefined;
  writtenAtMs = 0;
  lastSeenMs = 0;
  hasRun = false;
  runsTotal = 0;
  runErrorsTotal = 0;
  readonly #sums = agentColumns.map(() => 0);
  readonly #counts = agentColumns.map(() => 0);

  observe(second: number, gauges: AgentGauges): void {
    for (const [column, value] of gauges.entries()) {
      if (value === null) continue;
      this.ring.set(second, column, value);
      this.#sums[column] += value;
      this.#counts[column] += 1;
    }
  }

  /** Means over the running window; null when the agent said nothing. */
  windowGauges(): AgentGauges | null {
    if (this.#counts.every((count) => count === 0)) return null;
    return this.#sums.map((sum, at) => this.#counts[at] === 0 ? null : rounded(sum / this.#counts[at]));
  }

  closeWindow(): void {
    this.#sums.fill(0);
    this.#counts.fill(0);
    this.hasRun = false;
  }
}

export class QueueSeries {
  readonly ring = new SecondRing(1);
  depth = 0;
  /** The deepest within the running second and the running window. */
  secondMax = 0;
  windowMax = 0;
}

/**
 * Everything measured arrives here, in the manager: outcomes from the dispatcher, telemetry from agents, queue
 * depths. From here it goes to the views (rates of now), to `query` (the last 15 minutes) and, as 10 s samples,
 * to the store.
 * Invariant: time passes only by `tick()`; between two ticks everything belongs to one running second.
 */
import { limits } from "../limits.ts";
import type { History } from "./history.ts";
import type { Telemetry } from "../protocol/messages.ts";
import { Histogram } from "./histogram.ts";
import { type AgentGauges, type AgentValue, isWorthWriting, type QueueValue, type Sample } from "./sample.ts";
import { SampleWriter } from "./sample_writer.ts";
import { RunWindows } from "./runs.ts";
import type { RequestOutcome } from "../request_outcome.ts";
import { AgentSeries, endpointRing, EndpointSeries, QueueSeries, ringSeconds } from "./series.ts";

export interface Rates {
  /** Over the last 10 s. */
  requestsPerSecond: number;
  errorsPerSecond: number;
  /** Over the last minute, queue and run; missing without requests. */
  p50Ms?: number;
  p95Ms?: number;
  p99Ms?: number;
  /** Since the manager's start. */
  totalRequests: number;
  totalErrors: number;
}

/** Where endpoints without metrics of their own are counted. */
export const otherEndpoints = "(other)";

const rateSeconds = 10;
/** While others are written, an agent is after this long too, so that its value is found without looking far back. */
const refreshAfterMs = 3600_000;
const windowSeconds = limits.sampleMs / 1000;

export class Ingest {
  readonly endpoints = new Map<string, EndpointSeries>();
  readonly agents = new Map<string, AgentSeries>();
  readonly queues = new Map<string, QueueSeries>();
  readonly cluster = new EndpointSeries();
  /** Endpoints beyond the bound, and names that were refused. */
  readonly other = new EndpointSeries();
  readonly #runs = new RunWindows();
  readonly #writer: SampleWriter;
  readonly #onWriteFailure: (cause: unknown) => void;
  readonly #scratch = new Histogram();
  readonly #touched: EndpointSeries[] = [];
  /** Room for another endpoint was looked for in vain in this window. */
  #isFull = false;
  /** The last second that is closed; the ring knows everything from `#firstSecond` to here. */
  #closedSecond: number;
  #firstSecond: number;

  /** `history` is this one's alone to write. `onWriteFailure` hears of samples the store refused, e.g. for a full disk; they are tried again a minute later. */
  constructor(history: History, nowMs: number, onWriteFailure: (cause: unknown) => void = () => {}) {
    this.#onWriteFailure = onWriteFailure;
    this.#writer = new SampleWriter(history, nowMs);
    this.#closedSecond = Math.floor(nowMs / 1000) - 1;
    this.#firstSecond = this.#closedSecond + 1;
  }

  /** The span the rings cover, ms: from the manager's start, or 15 minutes, to the last closed second's end. */
  liveSpan(): { fromMs: number; toMs: number } {
    const from = Math.max(this.#firstSecond, this.#closedSecond - ringSeconds + 1);
    return { fromMs: from * 1000, toMs: (this.#closedSecond + 1) * 1000 };
  }

  /** Counts one outcome. Allocates only when an endpoint is first seen. */
  observeRequest(outcome: RequestOutcome): void {
    const series = this.endpoints.get(outcome.endpoint) ?? this.#addEndpoint(outcome);
    series.observe(outcome.code, outcome.totalMs);
    if (series.isTouched) return;
    series.isTouched = true;
    this.#touched.push(series);
  }

  observeTelemetry(agent: string, telemetry: Telemetry, nowMs: number): void {
    let series = this.agents.get(agent);
    if (!series) this.agents.set(agent, series = new AgentSeries());
    const { host, replicas } = telemetry;
    const outstanding = replicas.reduce((sum, replica) => sum + replica.outstanding, 0);
    const gauges = [host.cpu, host.memoryUsedBytes, host.temperatureC ?? null, outstanding];
    series.observe(Math.floor(nowMs / 1000), gauges);
    series.lastSeenMs = nowMs;
    this.#runs.observe(agent, telemetry.endpoints);
    for (const { count, errors } of telemetry.endpoints) {
      series.hasRun ||= count > 0;
      series.runsTotal += count;
      series.runErrorsTotal += errors;
    }
  }

  /** Notes how many requests wait for a replicaSet now. */
  observeQueue(replicaSet: string, depth: number): void {
    let series = this.queues.get(replicaSet);
    if (!series) {
      if (depth === 0) return;
      this.queues.set(replicaSet, series = new QueueSeries());
    }
    series.depth = depth;
    if (depth > series.secondMax) series.secondMax = depth;
  }

  /** Called once a second: closes the running second, every 10 s the window, and flushes when a minute is over. */
  tick(nowMs: number): void {
    const nowSecond = Math.floor(nowMs / 1000);
    // A timer that came early finds nothing to close; a wall clock that was set back starts anew.
    if (nowSecond < this.#closedSecond) this.#restart(nowSecond);
    if (nowSecond <= this.#closedSecond + 1) return;
    // After a late tick all counts belong to the second that was running when the last one came.
    const running = this.#closedSecond + 1;
    this.#closeSecond(running);
    if (windowOf(nowSecond) !== windowOf(running)) this.#closeWindow(windowOf(running));
    this.#closedSecond = nowSecond - 1;
    if (this.#writer.isDue(nowMs)) this.flush(nowMs);
  }

  /** Writes what is pending, now. Never throws: a cluster goes on without history rather than not at all. */
  flush(nowMs: number): void {
    try {
      this.#writer.flush(nowMs);
    } catch (thrown) {
      this.#onWriteFailure(thrown);
    }
  }

  /** Hands everything, also the running second and window, to the store; for the manager's end. */
  close(nowMs: number): void {
    this.tick(nowMs);
    this.#closeSecond(this.#closedSecond + 1);
    this.#closeWindow(windowOf(this.#closedSecond + 1));
    this.#writer.add(this.#agentsGone(nowMs));
    this.flush(nowMs);
  }

  /** What the store doesn't have yet: finished rows that wait for the next flush. */
  get pending(): readonly Sample[] {
    return this.#writer.pending;
  }

  /** 5 min rows in the store are complete before this time. */
  rolledUpToMs(): number {
    return this.#writer.rolledUpToMs(this.liveSpan().toMs);
  }

  /** Rates and quantiles of one endpoint; zeros for one without requests. */
  endpointRates(endpoint: string): Rates {
    const series = this.endpoints.get(endpoint);
    return series ? this.#ratesOf(series) : { ...noRates };
  }

  /** The same over all endpoints. */
  clusterRates(): Rates {
    const totals = [...this.endpoints.values(), this.other];
    return {
      ...this.#ratesOf(this.cluster),
      totalRequests: totals.reduce((sum, series) => sum + series.totalRequests(), 0),
      totalErrors: totals.reduce((sum, series) => sum + series.totalErrors, 0),
    };
  }

  #ratesOf(series: EndpointSeries): Rates {
    const last = this.#closedSecond;
    const { ring } = series;
    this.#scratch.clear();
    series.addRecent(this.#scratch, (last + 1) * 1000 - 60_000, limits.sampleMs);
    const quantileMs = (q: number) => Math.round(this.#scratch.quantile(q)!) / 1000;
    return {
      requestsPerSecond: ring.sum(last, rateSeconds, endpointRing.requests) / rateSeconds,
      errorsPerSecond: ring.sum(last, rateSeconds, endpointRing.errors) / rateSeconds,
      ...(this.#scratch.count === 0
        ? {}
        : { p50Ms: quantileMs(0.5), p95Ms: quantileMs(0.95), p99Ms: quantileMs(0.99) }),
      totalRequests: series.totalRequests(),
      totalErrors: series.totalErrors,
    };
  }

  #addEndpoint({ endpoint, code }: RequestOutcome): EndpointSeries {
    // A name that was refused may be anyone's invention, and must not cost memory.
    if (code === "not_found" || code === "forbidden" || code === "invalid_request") return this.other;
    if (this.endpoints.size >= limits.metricEndpointsMax && !this.#makeRoom()) return this.other;
    const series = new EndpointSeries();
    this.endpoints.set(endpoint, series);
    return series;
  }

  /** Drops an endpoint that nobody has called while the ring remembers; whether there was one. Looked for once a window. */
  #makeRoom(): boolean {
    if (this.#isFull) return false;
    for (const [endpoint, { ring, isTouched, isWindowTouched }] of this.endpoints) {
      if (isTouched || isWindowTouched) continue;
      if (ring.sum(this.#closedSecond, ringSeconds, endpointRing.requests) > 0) continue;
      return this.endpoints.delete(endpoint);
    }
    this.#isFull = true;
    return false;
  }

  #closeSecond(second: number): void {
    if (this.#touched.length > 0) {
      for (const series of this.#touched) {
        this.cluster.absorb(series);
        series.closeSecond(second);
      }
      this.cluster.closeSecond(second);
      this.#touched.length = 0;
    }
    for (const queue of this.queues.values()) {
      if (queue.secondMax > 0) queue.ring.set(second, 0, queue.secondMax);
      queue.windowMax = Math.max(queue.windowMax, queue.secondMax);
      queue.secondMax = queue.depth;
    }
  }

  #closeWindow(atMs: number): void {
    this.#isFull = false;
    const rows: Sample[] = this.#runs.close(atMs);
    for (const [subject, series] of this.endpoints) {
      if (series.isWindowTouched) {
        rows.push({ kind: "endpoint", subject, atMs, value: series.closeWindow(atMs) });
      }
    }
    if (this.other.isWindowTouched) {
      rows.push({ kind: "endpoint", subject: otherEndpoints, atMs, value: this.other.closeWindow(atMs) });
    }
    if (this.cluster.isWindowTouched) {
      rows.push({ kind: "cluster", subject: "", atMs, value: this.cluster.closeWindow(atMs) });
    }
    for (const [subject, queue] of this.queues) {
      if (queue.windowMax > 0) {
        rows.push({ kind: "replicaSet", subject, atMs, value: { m: queue.windowMax } satisfies QueueValue });
      }
      queue.windowMax = queue.depth;
    }
    this.#writer.add([...rows, ...this.#closeAgents(atMs, rows.length > 0)]);
  }

  /** `isWritten`: the window has other rows. */
  #closeAgents(atMs: number, isWritten: boolean): Sample[] {
    const moved: Sample[] = [];
    const still: Sample[] = [];
    for (const [subject, series] of this.agents) {
      const gauges = series.windowGauges();
      const row: Sample = { kind: "agent", subject, atMs, value: { v: gauges } satisfies AgentValue };
      if (this.#shouldWrite(series, gauges)) {
        moved.push(row);
        series.written = gauges;
        series.writtenAtMs = atMs;
      } else if (gauges !== null && atMs - series.writtenAtMs >= refreshAfterMs) {
        still.push(row);
      }
      series.closeWindow();
      if (atMs - series.lastSeenMs > ringSeconds * 1000) this.agents.delete(subject);
    }
    if (!isWritten && moved.length === 0) return [];
    for (const { subject, value } of still) {
      const series = this.agents.get(subject)!;
      series.written = (value as AgentValue).v;
      series.writtenAtMs = atMs;
    }
    return [...moved, ...still];
  }

  /** An idle agent is written when its values move, a busy one always, a silent one once. */
  #shouldWrite(series: AgentSeries, gauges: AgentGauges | null): boolean {
    if (series.written === undefined) return gauges !== null;
    return series.hasRun || isWorthWriting(series.written, gauges);
  }

  #agentsGone(nowMs: number): Sample[] {
    const atMs = Math.floor(nowMs / limits.sampleMs + 1) * limits.sampleMs;
    return [...this.agents].filter(([, series]) => series.written)
      .map(([subject]) => ({ kind: "agent", subject, atMs, value: { v: null } satisfies AgentValue }));
  }

  #restart(nowSecond: number): void {
    this.#closeWindow(windowOf(nowSecond) - limits.sampleMs);
    this.#closedSecond = nowSecond - 1;
    this.#firstSecond = nowSecond;
  }
}

const noRates: Rates = { requestsPerSecond: 0, errorsPerSecond: 0, totalRequests: 0, totalErrors: 0 };

/** The start, ms, of the 10 s window that a second is in. */
function windowOf(second: number): number {
  return Math.floor(second / windowSeconds) * limits.sampleMs;
}

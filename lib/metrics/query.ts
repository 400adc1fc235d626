/**
 * Any past window of any series as uPlot's columns: by the second from `ingest`'s rings for the last 15 minutes,
 * else 10 s or 5 min samples from the store, whichever is the finest that is kept and fits.
 * Invariant: at most 1500 points. No requests count as 0, an unknown value as null.
 */
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { MetricsView } from "../protocol/views.ts";
import {
  columnOf,
  type Columns,
  gaugeColumns,
  type Grid,
  latencyColumns,
  p95Columns,
  queueColumns,
  rateColumns,
  type SpanRow,
} from "./grid.ts";
import type { History } from "./history.ts";
import type { Ingest } from "./ingest.ts";
import { revisionSubject } from "./runs.ts";
import { agentColumns, type Sample, type SampleKind } from "./sample.ts";
import { endpointRing, ringSeconds, type SecondRing } from "./series.ts";

export interface MetricsQuery {
  /** One of `seriesKinds`. */
  series: string;
  /**
   * An endpoint, an agent or a replicaSet; missing: a column for each, and for latency one over all. Of series by
   * revision it is the endpoint, and there is a column for each of its revisions: "revision 3".
   */
  subject?: string;
  fromMs: number;
  toMs: number;
}

export interface MetricsSources {
  ingest: Ingest;
  history: Pick<History, "read" | "lastOfAgents" | "subjects">;
}

/** The series that can be asked for, and what each is about. */
export const seriesKinds = {
  requests: "endpoint",
  errors: "endpoint",
  latency: "endpoint",
  endpointLatency: "endpoint",
  queue: "replicaSet",
  cpu: "agent",
  memory: "agent",
  temperature: "agent",
  outstanding: "agent",
  revisionRequests: "revision",
  revisionErrors: "revision",
  revisionLatency: "revision",
  agentRequests: "agentRuns",
  agentErrors: "agentRuns",
  agentLatency: "agentRuns",
} as const satisfies Record<string, SampleKind>;
export type SeriesName = keyof typeof seriesKinds;

const pointsMax = 1500;
/** Columns of a query without a subject; those beyond are left out. */
const columnsMax = 50;
/** Stored rows one query may read, about 10 µs each on a PC and 50 on a Pi. */
const rowsMax = 10_000;
const liveStepMs = 1000;
/** How far a browser's clock may be behind and still get "the last 15 minutes" by the second. */
const clockSlackMs = 10_000;

/**
 * Answers a query. Units: requests and errors per second, latency and its p50, p95, p99 in ms, queue in requests,
 * by revision and by agent the same of runs in modules, latency as p95 alone; cpu as a share, memory in bytes, temperature in degrees Celsius, outstanding in requests.
 * Throws `invalid_request` for an unknown series or an empty span.
 */
export function queryMetrics(query: MetricsQuery, sources: MetricsSources): MetricsView {
  const { series } = query;
  if (!isSeriesName(series)) {
    const known = Object.keys(seriesKinds).join(", ");
    throw new SqwishError(
      "invalid_request",
      `A series must be one of ${known}, is ${JSON.stringify(series)}`,
    );
  }
  if (!(query.fromMs < query.toMs)) {
    throw new SqwishError(
      "invalid_request",
      `fromMs must be before toMs, they are ${query.fromMs} and ${query.toMs}`,
    );
  }
  const isCoarse = isCoarseOnly(series);
  const grid = planGrid(query.fromMs, query.toMs, sources.ingest.liveSpan().toMs, isCoarse);
  const columns = columnsOf(series, readRows(series, query.subject, grid, sources), grid);
  // A subject that was asked for has its column also when there is nothing to say of it.
  if (query.subject !== undefined && series !== "latency" && !isCoarse) {
    columnOf(columns, query.subject, grid, emptyOf(series));
  }
  if (grid.stepMs === liveStepMs) overlayLive(series, query.subject, columns, grid, sources.ingest);
  return {
    series,
    resolutionMs: grid.stepMs,
    timesMs: Array.from({ length: grid.points }, (_, at) => grid.startMs + at * grid.stepMs),
    columns: largest(columns).map(([label, values]) => ({
      label: seriesKinds[series] === "revision" && query.subject !== undefined
        ? `revision ${label.slice(query.subject.length + 1)}`
        : label,
      values,
    })),
  };
}

/** Runs, and the latency of each endpoint at once, are known by 10 s and coarser only. */
function isCoarseOnly(series: SeriesName): boolean {
  const kind = seriesKinds[series];
  return kind === "revision" || kind === "agentRuns" || series === "endpointLatency";
}

/** The finest resolution that is still kept for `fromMs` and needs at most 1500 points; longer steps beyond 5 days. */
function planGrid(fromMs: number, toMs: number, nowMs: number, isCoarse: boolean): Grid {
  const ringMs = ringSeconds * 1000;
  if (!isCoarse && fromMs >= nowMs - ringMs - clockSlackMs) {
    return gridOf(liveStepMs, Math.max(fromMs, nowMs - ringMs), Math.min(toMs, nowMs));
  }
  // Stored rows end with a whole 10 s window; what is newer would look like a dip.
  const endMs = Math.min(toMs, Math.floor(nowMs / limits.sampleMs) * limits.sampleMs);
  const isFine = fromMs >= nowMs - limits.sampleKeptMs && endMs - fromMs <= (pointsMax - 1) * limits.sampleMs;
  if (isFine) return gridOf(limits.sampleMs, fromMs, endMs);
  const startMs = Math.max(fromMs, nowMs - limits.rolledUpKeptMs);
  const steps = Math.ceil((endMs - startMs) / ((pointsMax - 1) * limits.rolledUpMs));
  return gridOf(limits.rolledUpMs * Math.max(1, steps), startMs, endMs);
}

function gridOf(stepMs: number, fromMs: number, endMs: number): Grid {
  const startMs = Math.floor(fromMs / stepMs) * stepMs;
  return { stepMs, startMs, endMs, points: Math.max(0, Math.ceil((endMs - startMs) / stepMs)) };
}

/** The rows that the grid needs, in time for each subject: from the store, then what `ingest` hasn't flushed yet. */
function readRows(
  series: SeriesName,
  subject: string | undefined,
  grid: Grid,
  sources: MetricsSources,
): SpanRow[] {
  const { ingest, history } = sources;
  // What the rings cover needs no rows.
  const endMs = grid.stepMs === liveStepMs ? Math.min(grid.endMs, ingest.liveSpan().fromMs) : grid.endMs;
  if (grid.startMs >= endMs) return [];
  const isWhole = series === "latency" && subject === undefined;
  const kind = isWhole ? "cluster" : seriesKinds[series];
  const isCoarse = grid.stepMs >= limits.rolledUpMs;
  const fineFromMs = isCoarse
    ? Math.max(grid.startMs, ingest.rolledUpToMs())
    : grid.startMs - limits.sampleMs + 1;
  const read = (resolutionMs: number, subject: string, fromMs: number, toMs: number) =>
    withSpan(resolutionMs, history.read({ resolutionMs, kind, subject, fromMs, toMs }));
  const subjects = subject === undefined || kind === "revision"
    ? chooseSubjects(kind, grid, endMs, sources, subject === undefined ? "" : revisionSubject(subject, ""))
    : [subject];
  return subjects.flatMap((each) => [
    ...(kind === "agent" ? readHeld(each, grid.startMs, !isCoarse, history) : []),
    ...(isCoarse ? read(limits.rolledUpMs, each, grid.startMs, Math.min(fineFromMs, endMs)) : []),
    ...read(limits.sampleMs, each, fineFromMs, endMs),
    ...withSpan(
      limits.sampleMs,
      ingest.pending.filter((row) => row.kind === kind && row.subject === each && row.atMs < endMs),
    ),
  ]);
}

/** All subjects of a kind that begin with `prefix`, or as many of the busiest as can be read without stalling the manager; it has one thread. */
function chooseSubjects(
  kind: SampleKind,
  grid: Grid,
  endMs: number,
  { ingest, history }: MetricsSources,
  prefix: string,
): string[] {
  const pending = ingest.pending.filter((row) => row.kind === kind).map((row) => row.subject);
  const subjects = [...new Set([...history.subjects(kind), ...pending])]
    .filter((subject) => subject.startsWith(prefix)).sort();
  const rowMs = grid.stepMs >= limits.rolledUpMs ? limits.rolledUpMs : limits.sampleMs;
  const subjectsMax = Math.max(1, Math.floor(rowsMax * rowMs / (endMs - grid.startMs)));
  if (subjects.length <= subjectsMax) return subjects;
  const requests = new Map([...ingest.endpoints].map(([name, series]) => [name, series.totalRequests()]));
  return subjects.sort((a, b) => (requests.get(b) ?? 0) - (requests.get(a) ?? 0)).slice(0, subjectsMax);
}

/**
 * An agent's values from before a time, the newest last, which hold until its next row. Where 10 s rows are kept, of the
 * 5 min rows only those that had ended: what one covers of the time after, the 10 s rows know better.
 */
export function readHeld(
  agent: string,
  beforeMs: number,
  isFine: boolean,
  history: MetricsSources["history"],
): SpanRow[] {
  const read = (resolutionMs: number) =>
    withSpan(resolutionMs, history.lastOfAgents(resolutionMs, agent, beforeMs));
  const rolledUp = read(limits.rolledUpMs).filter((row) => !isFine || row.atMs + row.spanMs <= beforeMs);
  return [...rolledUp, ...read(limits.sampleMs)].sort((a, b) => a.atMs - b.atMs);
}

function withSpan(spanMs: number, rows: readonly Sample[]): SpanRow[] {
  return rows.map((row) => ({ ...row, spanMs }));
}

function columnsOf(series: SeriesName, rows: readonly SpanRow[], grid: Grid): Columns {
  switch (series) {
    case "requests":
    case "errors":
      return rateColumns(series, rows, grid);
    case "revisionRequests":
    case "agentRequests":
      return rateColumns("requests", rows, grid);
    case "revisionErrors":
    case "agentErrors":
      return rateColumns("errors", rows, grid);
    case "revisionLatency":
    case "agentLatency":
    case "endpointLatency":
      return p95Columns(rows, grid);
    case "latency":
      return latencyColumns(rows, grid);
    case "queue":
      return queueColumns(rows, grid);
    default:
      return gaugeColumns(series, rows, grid);
  }
}

/** Replaces what the rings cover with the ring's own values, second by second. */
function overlayLive(
  series: SeriesName,
  subject: string | undefined,
  columns: Columns,
  grid: Grid,
  ingest: Ingest,
): void {
  const live = ingest.liveSpan();
  const rings = liveRings(series, subject, ingest);
  const empty = emptyOf(series);
  for (const label of rings.keys()) columnOf(columns, label, grid, empty);
  const firstMs = Math.max(grid.startMs, live.fromMs);
  for (const [label, values] of columns) {
    const source = rings.get(label);
    for (let atMs = firstMs; atMs < grid.endMs; atMs += liveStepMs) {
      const value = source ? liveValue(source, atMs / 1000) : NaN;
      values[(atMs - grid.startMs) / liveStepMs] = Number.isNaN(value) ? empty : value * source!.scale;
    }
  }
}

/** The ring's value of a second; for gauges also the one before, since telemetry may be a little late. */
function liveValue({ ring, column, isGauge }: RingColumn, second: number): number {
  const value = ring.get(second, column);
  if (!isGauge || !Number.isNaN(value)) return value;
  for (let ago = 1; ago <= limits.suspectAfterMs / 1000; ago++) {
    const before = ring.get(second - ago, column);
    if (!Number.isNaN(before)) return before;
  }
  return NaN;
}

interface RingColumn {
  ring: SecondRing;
  column: number;
  scale: number;
  isGauge: boolean;
}

function liveRings(series: SeriesName, subject: string | undefined, ingest: Ingest): Map<string, RingColumn> {
  if (series === "latency") {
    const ring = (subject === undefined ? ingest.cluster : ingest.endpoints.get(subject))?.ring;
    const { p50, p95, p99 } = endpointRing;
    const columns = ring ? Object.entries({ p50, p95, p99 }) : [];
    return new Map(
      columns.map(([label, column]) => [label, { ring: ring!, column, scale: 1 / 1000, isGauge: false }]),
    );
  }
  const kind = seriesKinds[series];
  const all = kind === "endpoint" ? ingest.endpoints : kind === "agent" ? ingest.agents : ingest.queues;
  const column = series === "requests" || series === "errors"
    ? endpointRing[series]
    : Math.max(0, agentColumns.findIndex((each) => each === series));
  const chosen = [...all].filter(([name]) => subject === undefined || name === subject);
  return new Map(
    chosen.map(([name, { ring }]) => [name, { ring, column, scale: 1, isGauge: kind === "agent" }]),
  );
}

/** What a point without any record means. */
function emptyOf(series: SeriesName): number | null {
  return series === "requests" || series === "errors" || series === "queue" ? 0 : null;
}

/** At most 50 columns, those with most in them; by label. */
function largest(columns: Columns): [string, (number | null)[]][] {
  const byLabel = (a: [string, unknown], b: [string, unknown]) => a[0] < b[0] ? -1 : 1;
  const all = [...columns].sort(byLabel);
  if (all.length <= columnsMax) return all;
  const sumOf = (values: (number | null)[]) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  return all.sort((a, b) => sumOf(b[1]) - sumOf(a[1])).slice(0, columnsMax).sort(byLabel);
}

function isSeriesName(name: string): name is SeriesName {
  return Object.hasOwn(seriesKinds, name);
}

/**
 * Sample rows laid onto an even grid of time steps: the pure arithmetic of `query`. A row may be shorter than a
 * step (then it adds to it) or longer (then it is spread over several).
 * Invariant: every column has exactly `grid.points` values.
 */
import { Histogram } from "./histogram.ts";
import {
  agentColumns,
  type AgentValue,
  type EndpointValue,
  lastOf,
  type QueueValue,
  type Sample,
} from "./sample.ts";

export interface Grid {
  stepMs: number;
  startMs: number;
  /** Not included; may be within the last step, which then counts for the part before it. */
  endMs: number;
  points: number;
}

/** A sample and how long it covers, ms from its `atMs`. */
export type SpanRow = Sample & { spanMs: number };
export type Values = (number | null)[];
export type Columns = Map<string, Values>;

/** The quantiles that are shown, by label. */
const quantiles = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;

/** Requests or errors per second, a column per endpoint; a step without rows is 0. */
export function rateColumns(series: "requests" | "errors", rows: readonly SpanRow[], grid: Grid): Columns {
  const columns: Columns = new Map();
  for (const row of rows) {
    const value = row.value as EndpointValue;
    const count = series === "requests" ? value.n : value.e;
    const counts = columnOf(columns, row.subject, grid, 0) as number[];
    forEachStep(row.atMs, row.atMs + row.spanMs, grid, (step, coveredMs) => {
      counts[step] += row.spanMs <= grid.stepMs ? count : count * coveredMs / row.spanMs;
    });
  }
  for (const counts of columns.values()) {
    for (const [step, count] of counts.entries()) counts[step] = count! * 1000 / stepLengthMs(step, grid);
  }
  return columns;
}

/** p50, p95 and p99 in ms over all the rows' requests; a step without requests is null. */
export function latencyColumns(rows: readonly SpanRow[], grid: Grid): Columns {
  const columns: Columns = new Map();
  for (const label of Object.keys(quantiles)) columnOf(columns, label, grid, null);
  const byStep = Map.groupBy(rows, (row) => stepOf(row.atMs, grid));
  const histogram = new Histogram();
  for (const stepRows of byStep.values()) {
    histogram.clear();
    for (const row of stepRows) histogram.merge((row.value as EndpointValue).l);
    const longestMs = Math.max(...stepRows.map((row) => row.spanMs));
    forEachStep(stepRows[0].atMs, stepRows[0].atMs + longestMs, grid, (step) => {
      for (const [label, q] of Object.entries(quantiles)) {
        const us = histogram.quantile(q);
        columns.get(label)![step] = us === undefined ? null : us / 1000;
      }
    });
  }
  return columns;
}

/** p95 in ms, a column per subject; a step without requests is null. */
export function p95Columns(rows: readonly SpanRow[], grid: Grid): Columns {
  const bySubject = Map.groupBy(rows, (row) => row.subject);
  return new Map(
    [...bySubject].map(([subject, own]) => [subject, latencyColumns(own, grid).get("p95")!]),
  );
}

/** The deepest queue of each step, a column per replicaSet; a step without rows is 0. */
export function queueColumns(rows: readonly SpanRow[], grid: Grid): Columns {
  const columns: Columns = new Map();
  for (const row of rows) {
    const { m } = row.value as QueueValue;
    const values = columnOf(columns, row.subject, grid, 0);
    forEachStep(row.atMs, row.atMs + row.spanMs, grid, (step) => {
      values[step] = Math.max(values[step] ?? 0, m);
    });
  }
  return columns;
}

/**
 * One gauge, a column per agent: means weighted by time. Rows must be in time for each agent; a row holds until the
 * next, so rows from before the grid count too. Null before the first row and where the agent was gone.
 */
export function gaugeColumns(gauge: string, rows: readonly SpanRow[], grid: Grid): Columns {
  const column = agentColumns.findIndex((each) => each === gauge);
  const columns: Columns = new Map();
  for (const [subject, own] of Map.groupBy(rows, (row) => row.subject)) {
    const sums = new Float64Array(grid.points);
    const weights = new Float64Array(grid.points);
    const hold = (number: number | null | undefined, fromMs: number, toMs: number) => {
      if (number === null || number === undefined) return;
      forEachStep(fromMs, toMs, grid, (step, coveredMs) => {
        sums[step] += number * coveredMs;
        weights[step] += coveredMs;
      });
    };
    for (const [at, row] of own.entries()) {
      const value = row.value as AgentValue;
      const nextMs = own[at + 1]?.atMs ?? grid.endMs;
      const endMs = Math.min(row.atMs + row.spanMs, nextMs);
      hold(value.v?.[column], row.atMs, endMs);
      hold(lastOf(value)?.[column], endMs, nextMs);
    }
    columns.set(subject, Array.from(sums, (sum, step) => weights[step] > 0 ? sum / weights[step] : null));
  }
  return columns;
}

/** The column of that label, made with `empty` at every point when it is new. */
export function columnOf(columns: Columns, label: string, grid: Grid, empty: number | null): Values {
  let values = columns.get(label);
  if (!values) columns.set(label, values = Array<number | null>(grid.points).fill(empty));
  return values;
}

/** Calls `visit` for each step that [fromMs, toMs) touches, with how much of the step it covers, ms. */
function forEachStep(
  fromMs: number,
  toMs: number,
  grid: Grid,
  visit: (step: number, coveredMs: number) => void,
): void {
  const clippedTo = Math.min(toMs, grid.endMs);
  const first = Math.max(0, stepOf(fromMs, grid));
  for (let step = first; step < grid.points; step++) {
    const stepMs = grid.startMs + step * grid.stepMs;
    const coveredMs = Math.min(clippedTo, stepMs + grid.stepMs) - Math.max(fromMs, stepMs);
    if (stepMs >= clippedTo) return;
    if (coveredMs > 0) visit(step, coveredMs);
  }
}

function stepOf(atMs: number, grid: Grid): number {
  return Math.floor((atMs - grid.startMs) / grid.stepMs);
}

function stepLengthMs(step: number, grid: Grid): number {
  const fromMs = grid.startMs + step * grid.stepMs;
  return Math.min(grid.stepMs, grid.endMs - fromMs);
}

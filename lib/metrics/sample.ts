/**
 * What a stored sample holds, and how several become one: the vocabulary that `ingest` writes and `query` reads.
 * Keys are short because there are many rows. All pure.
 * Invariant: a merge of merged values is the merge of all values (sums, histograms, maxima).
 */
import { Histogram, type HistogramBytes, type HistogramText } from "./histogram.ts";

/**
 * "cluster" has the form of an endpoint and is the sum of all, so that a chart of the whole reads one row per step.
 * "revision" and "agentRuns" have it too, but their latency is the run time in the module, as agents measure it.
 */
export type SampleKind = "endpoint" | "cluster" | "agent" | "replicaSet" | "revision" | "agentRuns";
export const sampleKinds: readonly SampleKind[] = [
  "endpoint",
  "cluster",
  "agent",
  "replicaSet",
  "revision",
  "agentRuns",
];

/** A row as the store keeps it; its value's form follows from its kind. */
export interface Sample {
  kind: string;
  subject: string;
  atMs: number;
  value: unknown;
}

/** n requests, e of them errors, and the latency (µs) of those that were admitted. No row: no requests. */
export interface EndpointValue {
  n: number;
  e: number;
  /** Text in rows of databases up to format 3. */
  l: HistogramBytes | HistogramText;
}

/** The columns of an agent's sample, in the order they are stored. */
export const agentColumns = ["cpu", "memory", "temperature", "outstanding"] as const;
/** CPU share, bytes, degrees Celsius, requests; null where the host doesn't tell. */
export type AgentGauges = (number | null)[];

/**
 * v: means over the row's time. l: what it ended with, when that differs. No row: as before, because unchanged values
 * aren't written. v null: the agent is gone, so nothing is known from here on.
 */
export interface AgentValue {
  v: AgentGauges | null;
  l?: AgentGauges | null;
}

/** m: the deepest the queue was. No row: it was empty. */
export interface QueueValue {
  m: number;
}

/** Steps below which an agent's idle change isn't worth a write: 5 % of all cores, 2 °C, any request. */
const cpuStep = 0.05;
const temperatureStepC = 2;
const outstandingStep = 0.5;
/** The larger of these two counts for memory. */
const memoryStepBytes = 32 * 1024 * 1024;
const memoryStepShare = 0.05;

/** Whether an agent's values moved far enough from the last ones written. */
export function isWorthWriting(written: AgentGauges | null, now: AgentGauges | null): boolean {
  if (written === null || now === null) return written !== now;
  const memoryStep = Math.max(memoryStepBytes, memoryStepShare * (written[1] ?? 0));
  const steps = [cpuStep, memoryStep, temperatureStepC, outstandingStep];
  return steps.some((step, at) => {
    const [before, after] = [written[at], now[at]];
    if (before === null || after === null) return before !== after;
    return Math.abs(after - before) >= step;
  });
}

/** What an agent's row ended with: what holds until its next row. */
export function lastOf(value: AgentValue): AgentGauges | null {
  return value.l === undefined ? value.v : value.l;
}

/** Rows of one subject, in time, within one longer row that ends at `endMs`, as that row's value. */
export function mergeSamples(kind: SampleKind, rows: readonly Sample[], endMs: number): unknown {
  switch (kind) {
    case "endpoint":
    case "cluster":
    case "revision":
    case "agentRuns":
      return mergeEndpointValues(rows.map((row) => row.value as EndpointValue));
    case "replicaSet":
      return { m: Math.max(...rows.map((row) => (row.value as QueueValue).m)) } satisfies QueueValue;
    case "agent":
      return mergeAgentRows(rows, endMs);
  }
}

function mergeEndpointValues(values: readonly EndpointValue[]): EndpointValue {
  const histogram = new Histogram();
  let [n, e] = [0, 0];
  for (const value of values) {
    n += value.n;
    e += value.e;
    histogram.merge(value.l);
  }
  return { n, e, l: histogram.encode() };
}

/** Means weighted by how long each row's values held, for rows are written only when something changed. */
function mergeAgentRows(rows: readonly Sample[], endMs: number): AgentValue {
  const sums = agentColumns.map(() => 0);
  const weights = agentColumns.map(() => 0);
  let last: AgentGauges | null = null;
  for (const [at, row] of rows.entries()) {
    const value = row.value as AgentValue;
    last = lastOf(value);
    const heldMs = (rows[at + 1]?.atMs ?? endMs) - row.atMs;
    for (const [column, number] of (value.v ?? []).entries()) {
      if (number === null) continue;
      sums[column] += number * heldMs;
      weights[column] += heldMs;
    }
  }
  const isKnown = weights.some((weight) => weight > 0);
  const means = isKnown ? sums.map((sum, at) => weights[at] > 0 ? rounded(sum / weights[at]) : null) : null;
  return JSON.stringify(means) === JSON.stringify(last) ? { v: means } : { v: means, l: last };
}

/** Four digits: more would be noise, in telemetry and in the rows. Whole numbers such as bytes lose their fraction only. */
export function rounded(number: number): number {
  return Math.abs(number) >= 1000 ? Math.round(number) : Math.round(number * 1e4) / 1e4;
}

/**
 * What each endpoint did over the whole of a time in the past, for all of them at once: stored samples → here, added up →
 * `manager/past` → the dashboard. A chart's columns are `query`'s. 5 min samples where they are whole within the time,
 * 10 s ones at its ends and where nothing is rolled up yet.
 * Invariant: a sample counts once; of what happened after `toMs` or is not a whole sample yet nothing is told.
 */
import { limits } from "../limits.ts";
import type { EndpointPastView } from "../protocol/views.ts";
import { Histogram } from "./histogram.ts";
import type { MetricsSources } from "./query.ts";
import type { EndpointValue, Sample } from "./sample.ts";

export interface Span {
  fromMs: number;
  /** Not included. */
  toMs: number;
}

interface Part extends Span {
  resolutionMs: number;
}

/** Shorter times are read by 10 s alone. */
const fineSpanMsMax = 3 * limits.rolledUpMs;

/** The endpoints that any sample is kept of. */
export function endpointsWithPast({ ingest, history }: MetricsSources): string[] {
  const pending = ingest.pending.filter(({ kind }) => kind === "endpoint").map(({ subject }) => subject);
  return [...new Set([...history.subjects("endpoint"), ...pending])];
}

/** The whole samples that a time is told by, in parts that follow each other; none when none is over yet. */
export function planPast({ fromMs, toMs }: Span, { ingest }: Pick<MetricsSources, "ingest">): Part[] {
  const fineMs = limits.sampleMs;
  const coarseMs = limits.rolledUpMs;
  const nowMs = ingest.liveSpan().toMs;
  const isFineKept = (atMs: number) => atMs >= nowMs - limits.sampleKeptMs;
  const startMs = floor(fromMs, isFineKept(fromMs) ? fineMs : coarseMs);
  const endMs = Math.min(ceil(toMs, isFineKept(toMs) ? fineMs : coarseMs), floor(nowMs, fineMs));
  const coarseFromMs = ceil(startMs, coarseMs);
  const coarseToMs = Math.min(floor(endMs, coarseMs), floor(ingest.rolledUpToMs(), coarseMs));
  const isFine = isFineKept(startMs) && endMs - startMs < fineSpanMsMax;
  const parts = isFine || coarseFromMs >= coarseToMs
    ? [{ resolutionMs: fineMs, fromMs: startMs, toMs: endMs }]
    : [
      { resolutionMs: fineMs, fromMs: startMs, toMs: coarseFromMs },
      { resolutionMs: coarseMs, fromMs: coarseFromMs, toMs: coarseToMs },
      { resolutionMs: fineMs, fromMs: coarseToMs, toMs: endMs },
    ];
  return parts.filter((part) => part.fromMs < part.toMs);
}

/** How many samples of an endpoint there are at most. */
export function samplesOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { fromMs, toMs, resolutionMs }) => sum + (toMs - fromMs) / resolutionMs, 0);
}

/** Rates per second and percentiles over the whole time, of those that had requests in it. */
export function describeEndpointsPast(
  endpoints: readonly string[],
  parts: readonly Part[],
  { ingest, history }: MetricsSources,
): EndpointPastView[] {
  const pending = Map.groupBy(ingest.pending.filter(({ kind }) => kind === "endpoint"), (row) => row.subject);
  const seconds = parts.reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs), 0) / 1000;
  const latency = new Histogram();
  return endpoints.flatMap((subject) => {
    let [requests, errors] = [0, 0];
    latency.clear();
    const add = ({ value }: Sample) => {
      const { n, e, l } = value as EndpointValue;
      requests += n;
      errors += e;
      latency.merge(l);
    };
    for (const part of parts) {
      for (const row of history.read({ ...part, kind: "endpoint", subject })) add(row);
      if (part.resolutionMs !== limits.sampleMs) continue;
      const isWithin = ({ atMs }: Sample) => atMs >= part.fromMs && atMs < part.toMs;
      for (const row of (pending.get(subject) ?? []).filter(isWithin)) add(row);
    }
    if (requests === 0) return [];
    const rates = { requestsPerSecond: requests / seconds, errorsPerSecond: errors / seconds };
    return [{ endpoint: subject, ...rates, ...percentiles(latency) }];
  });
}

function percentiles(latency: Histogram): Pick<EndpointPastView, "p50Ms" | "p95Ms" | "p99Ms"> {
  if (latency.count === 0) return {};
  const ms = (q: number) => Math.round(latency.quantile(q)!) / 1000;
  return { p50Ms: ms(0.5), p95Ms: ms(0.95), p99Ms: ms(0.99) };
}

function floor(atMs: number, stepMs: number): number {
  return Math.floor(atMs / stepMs) * stepMs;
}

function ceil(atMs: number, stepMs: number): number {
  return Math.ceil(atMs / stepMs) * stepMs;
}

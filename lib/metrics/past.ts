/**
 * What each endpoint did over the whole of a time in the past, and how agents and queues were at a moment of it, for all
 * of them at once: stored samples → here → `manager/past` → the dashboard. A chart's columns are `query`'s. 5 min
 * samples where they are whole within the time, 10 s ones at its ends and where nothing is rolled up yet.
 * Invariant: a sample counts once; of what happened after `toMs` or is not a whole sample yet nothing is told.
 */
import { limits } from "../limits.ts";
import type { AgentPastView, EndpointPastView } from "../protocol/views.ts";
import { Histogram } from "./histogram.ts";
import { type MetricsSources, readHeld } from "./query.ts";
import {
  agentColumns,
  type AgentValue,
  type EndpointValue,
  lastOf,
  type QueueValue,
  type Sample,
  type SampleKind,
} from "./sample.ts";

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

/** The endpoints, or agents, that any sample is kept of. */
export function namesWithPast(kind: SampleKind, { ingest, history }: MetricsSources): string[] {
  return [...new Set([...history.subjects(kind), ...pendingOf(kind, ingest).keys()])];
}

/** The whole samples that a time is told by, in parts that follow each other; none when none is over yet. */
export function planPast({ fromMs, toMs }: Span, { ingest }: Pick<MetricsSources, "ingest">): Part[] {
  const fineMs = limits.sampleMs;
  const coarseMs = limits.rolledUpMs;
  const nowMs = ingest.liveSpan().toMs;
  const startMs = floor(fromMs, isFineKept(fromMs, ingest) ? fineMs : coarseMs);
  const endMs = Math.min(ceil(toMs, isFineKept(toMs, ingest) ? fineMs : coarseMs), floor(nowMs, fineMs));
  const coarseFromMs = ceil(startMs, coarseMs);
  const coarseToMs = Math.min(floor(endMs, coarseMs), floor(ingest.rolledUpToMs(), coarseMs));
  const isFine = isFineKept(startMs, ingest) && endMs - startMs < fineSpanMsMax;
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
  sources: MetricsSources,
): EndpointPastView[] {
  const pending = pendingOf("endpoint", sources.ingest);
  const seconds = parts.reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs), 0) / 1000;
  const latency = new Histogram();
  return endpoints.flatMap((subject) => {
    let [requests, errors] = [0, 0];
    latency.clear();
    for (const { value } of readParts("endpoint", subject, parts, sources, pending)) {
      const { n, e, l } = value as EndpointValue;
      requests += n;
      errors += e;
      latency.merge(l);
    }
    if (requests === 0) return [];
    const rates = { requestsPerSecond: requests / seconds, errorsPerSecond: errors / seconds };
    return [{ endpoint: subject, ...rates, ...percentiles(latency) }];
  });
}

/** What each agent told last before a moment; who was gone, or never there, is left out. */
export function describeAgentsPast(
  agents: readonly string[],
  atMs: number,
  { ingest, history }: MetricsSources,
): AgentPastView[] {
  const pending = pendingOf("agent", ingest);
  const isFine = isFineKept(atMs, ingest);
  return agents.flatMap((name) => {
    const unstored = pending.get(name)?.findLast((row) => row.atMs < atMs);
    const last = unstored
      ? { ...unstored, spanMs: limits.sampleMs }
      : readHeld(name, atMs, isFine, history).at(-1);
    if (!last) return [];
    const value = last.value as AgentValue;
    const gauges = last.atMs + last.spanMs > atMs ? value.v : lastOf(value);
    if (!gauges) return [];
    const known = agentColumns.flatMap((column, at) => gauges[at] === null ? [] : [[column, gauges[at]]]);
    return [{ name, ...Object.fromEntries(known) }];
  });
}

/** How many requests waited for a replicaSet at most in the last whole sample before a moment. */
export function queuedPast(replicaSet: string, atMs: number, sources: MetricsSources): number {
  const { ingest } = sources;
  const toMs = Math.min(atMs, floor(ingest.liveSpan().toMs, limits.sampleMs));
  const parts = planPast({ fromMs: toMs - 1, toMs }, sources);
  const rows = readParts("replicaSet", replicaSet, parts, sources, pendingOf("replicaSet", ingest));
  return Math.max(0, ...rows.map(({ value }) => (value as QueueValue).m));
}

/** What is stored of the parts, and what is not yet. */
function readParts(
  kind: SampleKind,
  subject: string,
  parts: readonly Part[],
  { history }: MetricsSources,
  pending: ReadonlyMap<string, Sample[]>,
): Sample[] {
  return parts.flatMap((part) => {
    const isWithin = ({ atMs }: Sample) => atMs >= part.fromMs && atMs < part.toMs;
    const isFine = part.resolutionMs === limits.sampleMs;
    return [
      ...history.read({ ...part, kind, subject }),
      ...(isFine ? pending.get(subject) ?? [] : []).filter(isWithin),
    ];
  });
}

/** By subject, in time. */
function pendingOf(kind: SampleKind, ingest: MetricsSources["ingest"]): Map<string, Sample[]> {
  return Map.groupBy(ingest.pending.filter((row) => row.kind === kind), (row) => row.subject);
}

function isFineKept(atMs: number, ingest: MetricsSources["ingest"]): boolean {
  return atMs >= ingest.liveSpan().toMs - limits.sampleKeptMs;
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

/**
 * Runs as agents count them, for comparing revisions with each other and agents with each other: 10 s windows of
 * counts and run times by endpoint and revision, and by agent. From telemetry → here → the store; it costs the way
 * of a request nothing. Invariant: what no telemetry has named for a window takes no memory.
 */
import { limits } from "../limits.ts";
import type { EndpointSample } from "../protocol/messages.ts";
import { Histogram, type HistogramBuckets } from "./histogram.ts";
import type { EndpointValue, Sample, SampleKind } from "./sample.ts";

/** How a revision of an endpoint is named as the subject of samples: `images/resize@3`. */
export function revisionSubject(endpoint: string, revision: number | ""): string {
  return `${endpoint}@${revision}`;
}

/** Sparse, since there are many: a whole histogram takes 10 KB. */
interface Runs {
  count: number;
  errors: number;
  latency: HistogramBuckets;
}

export class RunWindows {
  readonly #revisions = new Map<string, Runs>();
  readonly #agents = new Map<string, Runs>();

  /** Adds what an agent's requests did since its last telemetry. */
  observe(agent: string, samples: readonly EndpointSample[]): void {
    for (const sample of samples) {
      if (sample.count === 0) continue;
      addTo(this.#revisions, revisionSubject(sample.endpoint, sample.revision), sample);
      addTo(this.#agents, agent, sample);
    }
  }

  /** Ends the window that began at `atMs`. */
  close(atMs: number): Sample[] {
    return [...rowsOf("revision", this.#revisions, atMs), ...rowsOf("agentRuns", this.#agents, atMs)];
  }
}

function addTo(values: Map<string, Runs>, subject: string, sample: EndpointSample): void {
  let value = values.get(subject);
  if (!value) {
    // Agents name only what they run, but a bound that rests on others is none.
    if (values.size >= 2 * limits.metricEndpointsMax) return;
    values.set(subject, value = { count: 0, errors: 0, latency: {} });
  }
  value.count += sample.count;
  value.errors += sample.errors;
  mergeBuckets(value.latency, sample.latency);
}

function mergeBuckets(into: HistogramBuckets, from: HistogramBuckets): void {
  for (const bucket in from) into[bucket] = (into[bucket] ?? 0) + from[bucket];
}

function rowsOf(kind: SampleKind, values: Map<string, Runs>, atMs: number): Sample[] {
  const rows = [...values].map(([subject, { count, errors, latency }]) => {
    const value: EndpointValue = { n: count, e: errors, l: Histogram.fromJSON(latency).encode() };
    return { kind, subject, atMs, value };
  });
  values.clear();
  return rows;
}

/** What the metrics tests share: a recording over a real store, driven second by second. */
import { History } from "../../lib/metrics/history.ts";
import { Ingest } from "../../lib/metrics/ingest.ts";
import type { RequestOutcome } from "../../lib/request_outcome.ts";
import type { MetricsQuery } from "../../lib/metrics/query.ts";
import { queryMetrics } from "../../lib/metrics/query.ts";
import type { SampleKind } from "../../lib/metrics/sample.ts";
import type { Telemetry } from "../../lib/protocol/messages.ts";
import { openStore, type Store } from "../../lib/store/store.ts";

/** The start of a 5 min window, so that steps in tests are easy to count. */
export const startMs = 1_800_000_000_000;

/** A range that holds every sample. */
export const always = { fromMs: 0, toMs: 4_000_000_000_000 };

export class Recording {
  nowMs = startMs;
  readonly store: Store;
  history: History;
  ingest: Ingest;

  constructor(folder: string | null = null) {
    this.store = openStore({ folder });
    this.history = new History(this.store.samples);
    this.ingest = new Ingest(this.history, this.nowMs);
  }

  /** Lets `seconds` pass; `each` is called within every second, before its tick. */
  run(seconds: number, each: (second: number) => void = () => {}): void {
    for (let second = 0; second < seconds; second++) {
      each(second);
      this.nowMs += 1000;
      this.ingest.tick(this.nowMs);
    }
  }

  request(change: Partial<RequestOutcome> = {}): void {
    this.ingest.observeRequest({
      endpoint: "images/resize",
      replicaSet: "images",
      revision: 1,
      agent: "pi-1",
      code: "ok",
      queueMs: 0,
      totalMs: 10,
      runUs: 9000,
      requester: "ada",
      number: 1,
      message: "",
      ...change,
    });
  }

  telemetry(agent: string, cpu: number, change: { outstanding?: number; runs?: number } = {}): void {
    const { outstanding = 0, runs = 0 } = change;
    const telemetry: Telemetry = {
      type: "telemetry",
      sequence: 1,
      host: { cpu, load1: 0, memoryUsedBytes: 1e9, memoryTotalBytes: 4e9 },
      agentCpuCores: 0,
      agentMemoryBytes: 5e7,
      replicas: [{ handle: 1, outstanding, runners: 1, cpuCores: 0, memoryBytes: 0, restarts: 0 }],
      endpoints: runs === 0
        ? []
        : [{ endpoint: "images/resize", revision: 1, count: runs, errors: 1, latency: {} }],
    };
    this.ingest.observeTelemetry(agent, telemetry, this.nowMs);
  }

  /** The columns by label; times are relative to `startMs` in the query. */
  query(query: MetricsQuery) {
    const view = queryMetrics(query, { ingest: this.ingest, history: this.history });
    return { ...view, byLabel: new Map(view.columns.map(({ label, values }) => [label, values])) };
  }

  /** Ends this manager (abruptly unless `clean`) and starts the next one `downMs` later on the same store. */
  restart(downMs: number, clean: boolean): void {
    if (clean) this.ingest.close(this.nowMs);
    this.nowMs += downMs;
    this.history = new History(this.store.samples);
    this.ingest = new Ingest(this.history, this.nowMs);
  }

  rows(resolutionMs: number, kind: SampleKind): number {
    return this.history.read({ resolutionMs, kind, ...always }).length;
  }
}

/** Runs `work` with a fresh recording, and closes its store. */
export function withRecording(work: (recording: Recording) => void, folder: string | null = null): void {
  const recording = new Recording(folder);
  try {
    work(recording);
  } finally {
    recording.store.close();
  }
}

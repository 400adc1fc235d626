/** The manager's metrics: outcomes, telemetry and queue depths in; rates, history and the Prometheus text out. */
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import { History } from "../metrics/history.ts";
import { Ingest } from "../metrics/ingest.ts";
import type { RequestOutcome } from "../request_outcome.ts";
import { type MetricsSources, queryMetrics } from "../metrics/query.ts";
import { RecentRequests } from "../metrics/recent_requests.ts";
import type { Telemetry } from "../protocol/messages.ts";
import type { MetricsView } from "../protocol/views.ts";
import type { Store } from "../store/store.ts";
import { wasCalledBefore } from "./endpoint_guard.ts";
import type { EndpointRates } from "./overview.ts";

export interface Metrics {
  readonly ingest: Ingest;
  readonly requests: RecentRequests;
  /** Of what is told of a past time. */
  readonly sources: MetricsSources;
  observeRequest(outcome: RequestOutcome): void;
  observeTelemetry(agent: string, telemetry: Telemetry): void;
  endpointRates(endpoint: string): EndpointRates;
  clusterRates(): { requestsPerSecond: number; errorsPerSecond: number };
  query(query: { series: string; subject?: string; fromMs: number; toMs: number }): MetricsView;
  /** Whether an earlier manager or this one stored that it was called lately. */
  wasCalled(endpoint: string): boolean;
  /** When the newest sample that is stored ends; undefined when there is none. */
  lastSignMs(): number | undefined;
  /** Stops the clock and stores what is not stored yet. */
  close(): void;
}

/** `queueDepths` is asked once a second. */
export function createMetrics(
  { store, clock, log, bootEpoch }: { store: Store; clock: Clock; log: Log; bootEpoch: number },
  queueDepths: () => Iterable<[string, number]>,
): Metrics {
  const history = new History(store.samples);
  const ingest = new Ingest(history, clock.nowMs(), (cause) => {
    log.warn("metrics could not be stored; they are kept and tried again", { error: describeError(cause) });
  });
  const requests = new RecentRequests(bootEpoch >>> 0, clock.nowMs());
  /** As of the last tick, so that a request costs no look at the clock. */
  let nowMs = clock.nowMs();
  const stop = clock.every(1000, () => {
    for (const [set, depth] of queueDepths()) ingest.observeQueue(set, depth);
    nowMs = clock.nowMs();
    ingest.tick(nowMs);
  });
  return {
    ingest,
    requests,
    sources: { ingest, history },
    observeRequest(outcome) {
      ingest.observeRequest(outcome);
      requests.observe(outcome, nowMs);
    },
    observeTelemetry: (agent, telemetry) => ingest.observeTelemetry(agent, telemetry, clock.nowMs()),
    endpointRates: (endpoint) => ingest.endpointRates(endpoint),
    clusterRates() {
      const { requestsPerSecond, errorsPerSecond } = ingest.clusterRates();
      return { requestsPerSecond, errorsPerSecond };
    },
    query: (query) => queryMetrics(query, { ingest, history }),
    wasCalled: (endpoint) => wasCalledBefore(history, endpoint, clock.nowMs()),
    lastSignMs: () => history.lastSignMs(clock.nowMs()),
    close() {
      stop();
      ingest.close(clock.nowMs());
    },
  };
}

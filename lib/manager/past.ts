/**
 * What a time in the past was like, for the dashboard: `metrics/past` and `replica_counts` → here → `GET /v1/past`.
 * There may be many endpoints and the manager has one thread, so the work is done in slices, with requests in between.
 * Invariant: one question at a time is worked on, and a bounded number waits.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { describeEndpointsPast, endpointsWithPast, planPast, samplesOf, type Span } from "../metrics/past.ts";
import type { MetricsSources } from "../metrics/query.ts";
import type { EndpointPastView, PastView } from "../protocol/views.ts";
import type { ReplicaCount } from "../store/replica_counts.ts";

export interface PastOptions {
  clock: Clock;
  sources: MetricsSources;
  /** Those that exist now. */
  sets(): readonly string[];
  replicasAt(replicaSet: string, atMs: number): ReplicaCount | undefined;
}

/** Samples added up at once, about 3 µs each on a PC and 15 on a Pi; and the pause after that. */
const sliceSamples = 2000;
const pauseMs = 5;

export class Past {
  readonly #options: PastOptions;
  /** The last question that was asked; each waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: PastOptions) {
    this.#options = options;
  }

  /** Throws `invalid_request` for an empty span, `queue_full` when too many others wait for theirs. */
  async describe(span: Span): Promise<PastView> {
    const { fromMs, toMs } = span;
    if (!(fromMs < toMs)) {
      throw new SqwishError(
        "invalid_request",
        `fromMs must be before toMs, they are ${fromMs} and ${toMs}`,
      );
    }
    if (this.#waiting >= limits.pastQuestionsMax) {
      throw new SqwishError(
        "queue_full",
        `At most ${limits.pastQuestionsMax} questions for the past can wait`,
      );
    }
    this.#waiting++;
    const turn = this.#last.then(() => this.#answer(span));
    this.#last = turn.then(() => {}, () => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }

  async #answer(span: Span): Promise<PastView> {
    const { clock, sources, sets, replicasAt } = this.#options;
    const parts = planPast(span, sources);
    const names = parts.length === 0 ? [] : endpointsWithPast(sources);
    const slice = Math.max(1, Math.floor(sliceSamples / Math.max(1, samplesOf(parts))));
    const endpoints: EndpointPastView[] = [];
    for (let from = 0; from < names.length; from += slice) {
      if (from > 0) await new Promise<void>((resolve) => void clock.after(pauseMs, resolve));
      endpoints.push(...describeEndpointsPast(names.slice(from, from + slice), parts, sources));
    }
    const replicaSets = sets().flatMap((name) => {
      const count = replicasAt(name, span.toMs);
      return count ? [{ name, ...count }] : [];
    });
    return { endpoints, replicaSets };
  }
}

/**
 * What the past was like, for the dashboard: `metrics/past`, `replica_counts` and rollouts → here → `GET /v1/past`.
 * There may be much of it and the manager has one thread, so the work is done in slices, with requests in between.
 * Invariant: one question at a time is worked on, and a bounded number waits.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import {
  describeAgentsPast,
  describeEndpointsPast,
  namesWithPast,
  planPast,
  queuedPast,
  samplesOf,
  type Span,
} from "../metrics/past.ts";
import type { MetricsSources } from "../metrics/query.ts";
import type { EndpointsPastView, PastView, ReplicaSetPastView } from "../protocol/views.ts";
import type { ReplicaCount } from "../store/replica_counts.ts";
import type { PastRollout } from "../store/rollout_history.ts";

export interface PastOptions {
  clock: Clock;
  sources: MetricsSources;
  /** Those that exist now. */
  sets(): readonly string[];
  replicasAt(replicaSet: string, atMs: number): ReplicaCount | undefined;
  /** All that are kept of a set, newest first. */
  rollouts(replicaSet: string): readonly PastRollout[];
}

/** Samples added up at once, about 3 µs each on a PC and 15 on a Pi; and the pause after that. */
const sliceSamples = 2000;
const pauseMs = 5;
/** What an agent told last is looked for among the samples of an hour; a set may have a hundred rollouts. */
const sliceNames = 5;

export class Past {
  readonly #options: PastOptions;
  /** The last question that was asked; each waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(options: PastOptions) {
    this.#options = options;
  }

  /** What held at a moment. Throws `queue_full` when too many other questions wait. */
  at(atMs: number): Promise<PastView> {
    const { sources, sets } = this.#options;
    return this.#inTurn(async () => ({
      agents: await this.#inSlices(
        namesWithPast("agent", sources),
        sliceNames,
        (names) => describeAgentsPast(names, atMs, sources),
      ),
      replicaSets: await this.#inSlices(
        sets(),
        sliceNames,
        (names) => names.flatMap((name) => this.#describeSet(name, atMs)),
      ),
    }));
  }

  /** What happened over a time. Throws `invalid_request` for an empty one, `queue_full` when too many others wait. */
  async endpoints(span: Span): Promise<EndpointsPastView> {
    const { fromMs, toMs } = span;
    if (!(fromMs < toMs)) {
      throw new SqwishError(
        "invalid_request",
        `fromMs must be before toMs, they are ${fromMs} and ${toMs}`,
      );
    }
    const { sources } = this.#options;
    return await this.#inTurn(async () => {
      const parts = planPast(span, sources);
      const names = parts.length === 0 ? [] : namesWithPast("endpoint", sources);
      const slice = Math.max(1, Math.floor(sliceSamples / Math.max(1, samplesOf(parts))));
      const describe = (some: readonly string[]) => describeEndpointsPast(some, parts, sources);
      return { endpoints: await this.#inSlices(names, slice, describe) };
    });
  }

  async #inTurn<View>(answer: () => Promise<View>): Promise<View> {
    if (this.#waiting >= limits.pastQuestionsMax) {
      throw new SqwishError(
        "queue_full",
        `At most ${limits.pastQuestionsMax} questions for the past can wait`,
      );
    }
    this.#waiting++;
    const turn = this.#last.then(answer);
    this.#last = turn.then(() => {}, () => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }

  async #inSlices<View>(
    names: readonly string[],
    size: number,
    describe: (names: readonly string[]) => View[],
  ): Promise<View[]> {
    const views: View[] = [];
    for (let from = 0; from < names.length; from += size) {
      if (from > 0) await new Promise<void>((resolve) => void this.#options.clock.after(pauseMs, resolve));
      views.push(...describe(names.slice(from, from + size)));
    }
    return views;
  }

  /** None when it did not exist yet. */
  #describeSet(name: string, atMs: number): ReplicaSetPastView[] {
    const { sources, replicasAt, rollouts } = this.#options;
    const known = rollouts(name);
    const isLater = known.length > 0 && known.every(({ startedAtMs }) => startedAtMs > atMs);
    if (isLater && known.at(-1)!.fromRevision === 0) return [];
    const queued = queuedPast(name, atMs, sources);
    return [{ name, ...revisionAt(known, atMs), ...replicasAt(name, atMs), queued }];
  }
}

/** The revision that a set's rollouts, newest first, say was in force. */
function revisionAt(
  rollouts: readonly PastRollout[],
  atMs: number,
): Pick<ReplicaSetPastView, "revision" | "version"> {
  const newest = rollouts.find(({ startedAtMs }) => startedAtMs <= atMs);
  const isFailed = newest?.state === "failed" && (newest.endedAtMs ?? Infinity) <= atMs;
  const revision = isFailed ? newest.fromRevision : newest?.toRevision ?? rollouts.at(-1)?.fromRevision;
  // Revision 0 is none: the first one has failed.
  if (!revision) return {};
  const version = rollouts.find(({ toRevision }) => toRevision === revision)?.version;
  return { revision, ...(version ? { version } : {}) };
}

/** The API's reads: the overview of this moment, and what the store remembers. */
import type { OverviewFacts, RevisionsKnown } from "./overview.ts";
import { revisionInForce } from "../deployment/rollout.ts";
import { describeOverview, revisionDetail, revisionView } from "./overview.ts";
import type { RecentRequests } from "../metrics/recent_requests.ts";
import type { ComparisonView, PastRolloutView } from "../protocol/views.ts";
import type { StoredSet } from "../store/deployments.ts";
import type { Store } from "../store/store.ts";
import type { Reads, RolloutQuery } from "./api/reads.ts";
import type { Accounts } from "./accounts.ts";
import type { ModuleLogs } from "./module_logs.ts";

export interface ReadsOptions {
  store: Store;
  accounts: Accounts;
  logs: ModuleLogs;
  facts(): OverviewFacts;
  metrics: Reads["metrics"];
  past: Reads["past"];
  requests: RecentRequests;
  /** What a set's newest rollout is judged by; empty when that is not known beyond what is stored. */
  judged(replicaSet: string): ComparisonView[];
  nowMs(): number;
}

export function createReads(options: ReadsOptions): Reads {
  const { store, accounts, logs } = options;
  return {
    overview: () => describeOverview(options.facts()),
    revisions(replicaSet) {
      const { deployments } = store;
      const one = replicaSet === undefined ? undefined : deployments.find(replicaSet);
      const sets = replicaSet === undefined ? deployments.loadAll() : one ? [one] : [];
      return sets.flatMap((set) => {
        const known = knownOf(store, set);
        return deployments.revisions(set.name).map((revision) => revisionView(revision, known));
      });
    },
    revision(replicaSet, revision) {
      const kept = store.deployments.revisions(replicaSet);
      const at = kept.findIndex((each) => each.revision === revision);
      const set = store.deployments.find(replicaSet);
      return at < 0 || !set ? undefined : revisionDetail(kept[at], kept[at + 1], knownOf(store, set));
    },
    rollouts: (query) => readRollouts(options, query),
    events: (query) => store.events.list(query),
    logs: (replicaSet, query) => logs.list(replicaSet, query),
    users: () => accounts.list(),
    metrics: options.metrics,
    past: options.past,
    requests: (filter) => options.requests.list(filter),
    nowMs: options.nowMs,
  };
}

function knownOf({ deployments }: Store, set: StoredSet): RevisionsKnown {
  const failures = deployments.rollouts.failures(set.name);
  return { current: revisionInForce(set).revision, failures };
}

/** Each with what began it, and with what it is or was judged by. */
function readRollouts({ store, judged }: ReadsOptions, query: RolloutQuery): PastRolloutView[] {
  const rollouts = store.deployments.rollouts.list(query);
  const newest = new Set(store.deployments.loadAll().map(({ name, rollout }) => rolloutKey(name, rollout)));
  return rollouts.map((rollout) => {
    const { replicaSet, startedAtMs } = rollout;
    const cause = causeOf(store.events, replicaSet, startedAtMs);
    const figures = newest.has(rolloutKey(replicaSet, rollout)) ? judged(replicaSet) : [];
    return {
      ...rollout,
      ...(cause === undefined ? {} : { cause }),
      ...(figures.length > 0 ? { judged: figures } : {}),
    };
  });
}

function rolloutKey(replicaSet: string, rollout: { startedAtMs: number } | undefined): string {
  return `${replicaSet} ${rollout?.startedAtMs ?? 0}`;
}

/** The deployment or the undo that came last before a rollout, in the event's words. */
function causeOf(events: Store["events"], subject: string, startedAtMs: number): string | undefined {
  const kinds = ["deployed", "rollout_undone"] as const;
  return events.list({ subject, kinds, untilMs: startedAtMs + 1, limit: 1 })[0]?.message;
}

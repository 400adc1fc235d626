/** The API's reads: the overview of this moment, and what the store remembers. */
import type { OverviewFacts } from "./overview.ts";
import { revisionInForce } from "../deployment/rollout.ts";
import { describeOverview, revisionDetail, revisionView } from "./overview.ts";
import type { RecentRequests } from "../metrics/recent_requests.ts";
import type { Store } from "../store/store.ts";
import type { Reads } from "./api/reads.ts";
import type { Accounts } from "./accounts.ts";
import type { ModuleLogs } from "./module_logs.ts";

export interface ReadsOptions {
  store: Store;
  accounts: Accounts;
  logs: ModuleLogs;
  facts(): OverviewFacts;
  metrics: Reads["metrics"];
  requests: RecentRequests;
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
        const { revision: current } = revisionInForce(set);
        return deployments.revisions(set.name).map((revision) => revisionView(revision, current));
      });
    },
    revision(replicaSet, revision) {
      const kept = store.deployments.revisions(replicaSet);
      const at = kept.findIndex((each) => each.revision === revision);
      const set = store.deployments.find(replicaSet);
      return at < 0 || !set
        ? undefined
        : revisionDetail(kept[at], kept[at + 1], revisionInForce(set).revision);
    },
    events: (query) => store.events.list(query),
    logs: (replicaSet, query) => logs.list(replicaSet, query),
    users: () => accounts.list(),
    metrics: options.metrics,
    requests: (filter) => options.requests.list(filter),
    nowMs: options.nowMs,
  };
}

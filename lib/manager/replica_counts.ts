/**
 * How many replicas of each set are ready and wanted, now and in the past: agents' reports and assignments → here → the
 * overview, and rows of `store/replica_counts` when a count changes. Looked at once a second where something moved.
 * Invariant: while nothing changes nothing is computed and nothing is written; what is new is written once a minute.
 */
import type { AgentRecord } from "../cluster/agents.ts";
import type { Clock } from "../clock.ts";
import { wantedNow } from "../deployment/scale.ts";
import { limits } from "../limits.ts";
import type { StoredSet } from "../store/deployments.ts";
import type { ReplicaCount, ReplicaCountRow, ReplicaCountStore } from "../store/replica_counts.ts";

export interface CountedFacts {
  agents: readonly Pick<AgentRecord, "name" | "health" | "reports">[];
  sets: readonly StoredSet[];
  assignments(agent: string): readonly { replicaSet: string; revision: number }[];
}

/** By set: the agents that are ready with it, whatever revision, and how many are wanted. */
export function countReplicas({ agents, sets, assignments }: CountedFacts): Map<string, ReplicaCount> {
  const ready = new Map<string, number>();
  const assigned = new Map<string, number>();
  for (const { name, health, reports } of agents) {
    const revisions = Map.groupBy(assignments(name), (assignment) => assignment.replicaSet);
    for (const set of revisions.keys()) assigned.set(set, (assigned.get(set) ?? 0) + 1);
    if (health === "lost") continue;
    const isServing = ({ replicaSet, revision, state }: (typeof reports)[number]) =>
      state === "ready" && revisions.get(replicaSet)?.some((each) => each.revision === revision);
    const serving = new Set(reports.filter(isServing).map(({ replicaSet }) => replicaSet));
    for (const set of serving) ready.set(set, (ready.get(set) ?? 0) + 1);
  }
  return new Map(sets.map((set) => {
    const wanted = wantedNow(set);
    const count = { ready: ready.get(set.name) ?? 0, wanted: wanted === "all" ? 0 : wanted };
    return [set.name, wanted === "all" ? { ...count, wanted: assigned.get(set.name) ?? 0 } : count];
  }));
}

export interface ReplicaCountsOptions {
  clock: Clock;
  store: Pick<ReplicaCountStore, "append" | "at" | "sets">;
  facts(): CountedFacts;
  /** When an earlier manager that did not end in order was last seen to do something. */
  lastSignMs(): number | undefined;
  onWriteFailure(cause: unknown): void;
}

const lookEveryMs = 1000;
/** Rows kept while the disk takes none; the oldest go first. */
const pendingMax = 10_000;

export class ReplicaCounts {
  readonly #options: ReplicaCountsOptions;
  /** Of each set, as of the last look, and as of the last row that is stored. */
  readonly #known = new Map<string, ReplicaCount>();
  readonly #stored = new Map<string, ReplicaCount | null>();
  #pending: ReplicaCountRow[] = [];
  #isTouched = true;
  readonly #stop: (() => void)[];

  constructor(options: ReplicaCountsOptions) {
    this.#options = options;
    const { clock } = options;
    this.#markGone();
    this.#stop = [
      clock.every(lookEveryMs, () => this.#look()),
      clock.every(limits.sampleFlushMs, () => this.#flush()),
    ];
  }

  /** Something that counts rest on may have changed. */
  touch(): void {
    this.#isTouched = true;
  }

  /** What held of a set at a time; undefined when that is not recorded. */
  at(replicaSet: string, atMs: number): ReplicaCount | undefined {
    const row = this.#pending.findLast((each) => each.replicaSet === replicaSet && each.atMs <= atMs) ??
      this.#options.store.at(replicaSet, atMs);
    return row?.count ?? undefined;
  }

  /** Nothing is known of what happens until the next manager has seen it. */
  close(): void {
    for (const stop of this.#stop) stop();
    for (const set of this.#known.keys()) this.#note(set, null);
    this.#flush();
  }

  /** An earlier manager that was killed must not seem to know how many there were until this one had a look. */
  #markGone(): void {
    const { clock, store, lastSignMs } = this.#options;
    const open = store.sets().flatMap((set) => store.at(set, clock.nowMs()) ?? []).filter(({ count }) =>
      count
    );
    if (open.length === 0) return;
    const signMs = lastSignMs() ?? 0;
    for (const { replicaSet, atMs, count } of open) {
      this.#stored.set(replicaSet, count);
      this.#pending.push({ replicaSet, atMs: Math.max(signMs, atMs + 1), count: null });
    }
  }

  #look(): void {
    if (!this.#isTouched) return;
    this.#isTouched = false;
    const now = countReplicas(this.#options.facts());
    for (const [set, count] of now) if (!isSame(this.#known.get(set), count)) this.#note(set, count);
    for (const set of this.#known.keys()) if (!now.has(set)) this.#note(set, null);
  }

  /** What changes again within the time of a sample is one change. */
  #note(replicaSet: string, count: ReplicaCount | null): void {
    if (count) this.#known.set(replicaSet, count);
    else this.#known.delete(replicaSet);
    const atMs = this.#options.clock.nowMs();
    const last = this.#pending.findLast((row) => row.replicaSet === replicaSet);
    if (last && slotOf(last.atMs) === slotOf(atMs)) last.count = count;
    else this.#pending.push({ atMs, replicaSet, count });
    if (this.#pending.length > pendingMax) this.#pending.splice(0, this.#pending.length - pendingMax);
  }

  #flush(): void {
    const stored = new Map(this.#stored);
    const rows = this.#pending.filter(({ replicaSet, count }) => {
      const isNew = !isSame(stored.get(replicaSet) ?? undefined, count ?? undefined);
      stored.set(replicaSet, count);
      return isNew;
    });
    try {
      this.#options.store.append(rows);
    } catch (thrown) {
      return this.#options.onWriteFailure(thrown);
    }
    this.#pending = [];
    for (const { replicaSet, count } of rows) this.#stored.set(replicaSet, count);
  }
}

function isSame(left: ReplicaCount | undefined, right: ReplicaCount | undefined): boolean {
  return left?.ready === right?.ready && left?.wanted === right?.wanted;
}

function slotOf(atMs: number): number {
  return Math.floor(atMs / limits.sampleMs);
}

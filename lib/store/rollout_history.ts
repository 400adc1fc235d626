/**
 * Rollouts under way and over, by the time they began: written with each change of a set's rollout, read for people.
 * Invariant: of a set at most the newest is open; one that was not over when the next began is "replaced".
 */
import { and, desc, eq, inArray, lt, lte, ne, or, type SQL, sql } from "drizzle-orm";
import { limits } from "../limits.ts";
import type { ComparisonView, PastRolloutView } from "../protocol/views.ts";
import type { RolloutRecord } from "./deployments.ts";
import type { Database } from "./database.ts";
import { revisions, rolloutHistory } from "./schema.ts";

export type PastRollout = Omit<PastRolloutView, "cause">;

const openStates = ["progressing", "paused"] as const;

export class RolloutHistory {
  readonly #database: Database;
  readonly #keptMax: number;

  constructor(database: Database, keptMax: number = limits.rolloutsKept) {
    this.#database = database;
    this.#keptMax = keptMax;
  }

  /** Notes what a set's rollout is now. */
  save(rollout: RolloutRecord): void {
    const { replicaSet, startedAtMs, fromRevision, toRevision, state } = rollout;
    const columns = {
      ...{ fromRevision, toRevision, state },
      reason: rollout.reason ?? null,
      endedAtMs: rollout.endedAtMs ?? null,
      step: rollout.step ?? null,
    };
    this.#database.transaction(() => {
      const version = this.#versionOf(replicaSet, toRevision);
      this.#database.orm.insert(rolloutHistory).values({ replicaSet, startedAtMs, version, ...columns })
        .onConflictDoUpdate({
          target: [rolloutHistory.replicaSet, rolloutHistory.startedAtMs],
          set: { version, ...columns },
        }).run();
      const reason = "Something newer was deployed";
      // Not "older than this one": the clock may have been set back in between.
      this.#end(replicaSet, { reason, endedAtMs: startedAtMs }, ne(rolloutHistory.startedAtMs, startedAtMs));
      this.#prune(replicaSet, startedAtMs);
    });
  }

  /** Ends what was under way of a set that is deleted. */
  setDeleted(replicaSet: string, nowMs: number): void {
    this.#end(replicaSet, { reason: "The replicaSet was deleted", endedAtMs: nowMs });
  }

  /** The newest first. */
  list({ replicaSet, limit }: { replicaSet?: string; limit: number }): PastRollout[] {
    return this.#database.orm.select().from(rolloutHistory)
      .where(replicaSet === undefined ? undefined : eq(rolloutHistory.replicaSet, replicaSet))
      .orderBy(desc(rolloutHistory.startedAtMs), rolloutHistory.replicaSet).limit(limit).all()
      .map(({ reason, endedAtMs, step, judged, ...rest }) => ({
        ...rest,
        ...(reason === null ? {} : { reason }),
        ...(endedAtMs === null ? {} : { endedAtMs }),
        ...(step === null ? {} : { step }),
        ...(judged === null ? {} : { judged }),
      }));
  }

  /** Notes what a rollout was judged by; one that is not kept is left alone. */
  saveJudged(replicaSet: string, startedAtMs: number, judged: readonly ComparisonView[]): void {
    this.#database.orm.update(rolloutHistory).set({ judged: [...judged] })
      .where(isRollout(replicaSet, startedAtMs)).run();
  }

  /** What it was judged by, as far as that is noted. */
  judged(replicaSet: string, startedAtMs: number): readonly ComparisonView[] {
    const found = this.#database.orm.select({ judged: rolloutHistory.judged }).from(rolloutHistory)
      .where(isRollout(replicaSet, startedAtMs)).get();
    return found?.judged ?? [];
  }

  #end(
    replicaSet: string,
    change: Partial<typeof rolloutHistory.$inferInsert>,
    condition?: SQL,
  ): void {
    const isOpen = inArray(rolloutHistory.state, [...openStates]);
    this.#database.orm.update(rolloutHistory).set({ state: "replaced", step: null, ...change })
      .where(and(eq(rolloutHistory.replicaSet, replicaSet), isOpen, condition)).run();
  }

  #versionOf(replicaSet: string, revision: number): string {
    const found = this.#database.orm.select({ version: revisions.version }).from(revisions)
      .where(and(eq(revisions.replicaSet, replicaSet), eq(revisions.revision, revision))).get();
    return found?.version ?? "";
  }

  /** A set keeps its newest; all go with the events that tell of them. What a set's rollout is now stays, however old. */
  #prune(replicaSet: string, nowMs: number): void {
    const { orm } = this.#database;
    const { startedAtMs } = rolloutHistory;
    const isOfSet = eq(rolloutHistory.replicaSet, replicaSet);
    const newestGone = orm.select({ startedAtMs }).from(rolloutHistory).where(isOfSet)
      .orderBy(desc(startedAtMs)).limit(1).offset(this.#keptMax).get();
    const isBeyond = newestGone && and(isOfSet, lte(startedAtMs, newestGone.startedAtMs));
    const isPast = sql`(${rolloutHistory.replicaSet}, ${startedAtMs}) NOT IN
      (SELECT replica_set, started_at_ms FROM rollouts)`;
    orm.delete(rolloutHistory)
      .where(and(isPast, or(isBeyond, lt(startedAtMs, nowMs - limits.eventsKeptMs)))).run();
  }
}

function isRollout(replicaSet: string, startedAtMs: number): SQL | undefined {
  return and(eq(rolloutHistory.replicaSet, replicaSet), eq(rolloutHistory.startedAtMs, startedAtMs));
}

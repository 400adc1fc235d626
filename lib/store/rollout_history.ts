/**
 * Rollouts under way and over, by the time they began: written with each change of a set's rollout, read for people.
 * Invariant: of a set at most the newest is open; one that was not over when the next began is "replaced".
 */
import {
  and,
  desc,
  eq,
  getTableColumns,
  inArray,
  lt,
  lte,
  ne,
  or,
  type Placeholder,
  type SQL,
  sql,
} from "drizzle-orm";
import { limits } from "../limits.ts";
import type { ComparisonView, PastRolloutView } from "../protocol/views.ts";
import type { RolloutRecord } from "./deployments.ts";
import type { Database } from "./database.ts";
import { asInserted, placeholdersFor } from "./prepared.ts";
import { revisions, rolloutHistory } from "./schema.ts";

export type PastRollout = Omit<PastRolloutView, "cause">;

export class RolloutHistory {
  readonly #database: Database;
  readonly #queries: ReturnType<typeof prepareQueries>;

  constructor(database: Database, keptMax: number = limits.rolloutsKept) {
    this.#database = database;
    this.#queries = prepareQueries(database, keptMax);
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
      const version = this.#queries.version.get({ replicaSet, toRevision })?.version ?? "";
      this.#queries.save.run({ replicaSet, startedAtMs, version, ...columns });
      // Not "older than this one": the clock may have been set back in between.
      this.#queries.endOthers.run({ replicaSet, startedAtMs, reason: "Something newer was deployed" });
      this.#prune(replicaSet, startedAtMs);
    });
  }

  /** Ends what was under way of a set that is deleted. */
  setDeleted(replicaSet: string, nowMs: number): void {
    this.#database.orm.update(rolloutHistory)
      .set({ ...replaced, reason: "The replicaSet was deleted", endedAtMs: nowMs })
      .where(isOpenOf(replicaSet)).run();
  }

  /** The newest first. */
  list(query: { replicaSet?: string; untilMs?: number; limit: number }): PastRollout[] {
    const { replicaSet, untilMs, limit } = query;
    const isOfSet = replicaSet === undefined ? undefined : eq(rolloutHistory.replicaSet, replicaSet);
    const isBefore = untilMs === undefined ? undefined : lt(rolloutHistory.startedAtMs, untilMs);
    return this.#database.orm.select().from(rolloutHistory).where(and(isOfSet, isBefore))
      .orderBy(desc(rolloutHistory.startedAtMs), rolloutHistory.replicaSet).limit(limit).all()
      .map(({ reason, endedAtMs, step, judged, ...rest }) => ({
        ...rest,
        ...(reason === null ? {} : { reason }),
        ...(endedAtMs === null ? {} : { endedAtMs }),
        ...(step === null ? {} : { step }),
        ...(judged === null ? {} : { judged }),
      }));
  }

  /** The revisions of a set whose last rollout that came to an end of its own failed, each with the reason. */
  failures(replicaSet: string): ReadonlyMap<number, string> {
    const failures = new Map<number, string>();
    for (const { toRevision, state, reason } of this.#queries.ended.all({ replicaSet })) {
      if (state === "failed") failures.set(toRevision, reason ?? "no reason is recorded");
      else failures.delete(toRevision);
    }
    return failures;
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

  /** A set keeps its newest; all go with the events that tell of them. What a set's rollout is now stays, however old. */
  #prune(replicaSet: string, nowMs: number): void {
    const keptFromMs = nowMs - limits.eventsKeptMs;
    const newestGone = this.#queries.newestGone.get({ replicaSet });
    this.#queries.prune.run({ replicaSet, keptFromMs, goneToMs: newestGone?.startedAtMs ?? noneMs });
  }
}

function isRollout(replicaSet: string, startedAtMs: number): SQL | undefined {
  return and(eq(rolloutHistory.replicaSet, replicaSet), eq(rolloutHistory.startedAtMs, startedAtMs));
}

/** Before every rollout. */
const noneMs = Number.MIN_SAFE_INTEGER;
const replaced = { state: "replaced", step: null } as const;

function isOpenOf(replicaSet: string | Placeholder): SQL | undefined {
  const isOpen = inArray(rolloutHistory.state, ["progressing", "paused"]);
  return and(eq(rolloutHistory.replicaSet, replicaSet), isOpen);
}

/** What is asked for at each change of a rollout: building these queries costs far more than running them. */
function prepareQueries({ orm }: Database, keptMax: number) {
  // What it was judged by is noted by itself, and stays.
  const { replicaSet, startedAtMs, judged: _judged, ...rest } = getTableColumns(rolloutHistory);
  const columns = placeholdersFor({ replicaSet, startedAtMs, ...rest });
  const isOfSet = eq(replicaSet, columns.replicaSet);
  const isRevision = eq(revisions.revision, sql.placeholder("toRevision"));
  const isBeyond = and(isOfSet, lte(startedAtMs, sql.placeholder("goneToMs")));
  const isPast =
    sql`(${replicaSet}, ${startedAtMs}) NOT IN (SELECT replica_set, started_at_ms FROM rollouts)`;
  return {
    version: orm.select({ version: revisions.version }).from(revisions)
      .where(and(eq(revisions.replicaSet, columns.replicaSet), isRevision)).prepare(),
    save: orm.insert(rolloutHistory).values(columns)
      .onConflictDoUpdate({ target: [replicaSet, startedAtMs], set: asInserted(rest) }).prepare(),
    ended: orm.select().from(rolloutHistory)
      .where(and(isOfSet, inArray(rolloutHistory.state, ["done", "failed"])))
      .orderBy(startedAtMs).prepare(),
    endOthers: orm.update(rolloutHistory)
      .set({ ...replaced, reason: sql`${columns.reason}`, endedAtMs: sql`${columns.startedAtMs}` })
      .where(and(isOpenOf(columns.replicaSet), ne(startedAtMs, columns.startedAtMs))).prepare(),
    newestGone: orm.select({ startedAtMs }).from(rolloutHistory).where(isOfSet)
      .orderBy(desc(startedAtMs)).limit(1).offset(keptMax).prepare(),
    prune: orm.delete(rolloutHistory)
      .where(and(isPast, or(isBeyond, lt(startedAtMs, sql.placeholder("keptFromMs"))))).prepare(),
  };
}

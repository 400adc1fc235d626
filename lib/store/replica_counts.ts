/**
 * How many replicas each set had, and how many were wanted: a row when that changed, which holds until the set's next.
 * `manager/replica_counts` → here → the dashboard's past.
 * Invariant: of a set that is asked for, what held 30 days ago is kept, however long nothing has changed.
 */
import { and, desc, eq, isNull, lt, lte, or, sql } from "drizzle-orm";
import { limits } from "../limits.ts";
import type { Database } from "./database.ts";
import { replicaCounts } from "./schema.ts";

export interface ReplicaCount {
  ready: number;
  wanted: number;
}

export interface ReplicaCountRow {
  atMs: number;
  replicaSet: string;
  /** null: nothing is known from here on. */
  count: ReplicaCount | null;
}

/** How often the oldest are dropped: once per so many appended. */
const pruneEvery = 500;

export class ReplicaCountStore {
  readonly #database: Database;
  readonly #keptMax: number;
  readonly #newest: ReturnType<typeof prepareNewest>;

  constructor(database: Database, keptMax: number = limits.replicaCountsKept) {
    this.#database = database;
    this.#keptMax = keptMax;
    this.#newest = prepareNewest(database);
  }

  /** Appends rows, in time, in one transaction. */
  append(rows: readonly ReplicaCountRow[]): void {
    if (rows.length === 0) return;
    this.#database.transaction(() => {
      let isDue = false;
      for (const { atMs, replicaSet, count } of rows) {
        const { ready, wanted } = count ?? { ready: null, wanted: null };
        const { id } = this.#database.orm.insert(replicaCounts).values({ atMs, replicaSet, ready, wanted })
          .returning({ id: replicaCounts.id }).get();
        isDue ||= id % pruneEvery === 0;
      }
      if (isDue) this.prune(rows.at(-1)!.atMs);
    });
  }

  /** What held of a set at a time, and since when; undefined when no row is as old. */
  at(replicaSet: string, atMs: number): ReplicaCountRow | undefined {
    const row = this.#newest.get({ replicaSet, atMs });
    if (!row) return undefined;
    const { ready, wanted } = row;
    const count = ready === null || wanted === null ? null : { ready, wanted };
    return { atMs: row.atMs, replicaSet, count };
  }

  /** Every set that any row is kept of. */
  sets(): string[] {
    return this.#database.orm.selectDistinct({ name: replicaCounts.replicaSet }).from(replicaCounts).all()
      .map(({ name }) => name);
  }

  /** Drops what held no more 30 days ago, and all but the newest; returns how many went. Happens by itself while appending. */
  prune(nowMs: number): number {
    const beforeMs = nowMs - limits.rolledUpKeptMs;
    const { orm } = this.#database;
    const newest = orm.select({ id: replicaCounts.id }).from(replicaCounts)
      .orderBy(desc(replicaCounts.id)).limit(1).get();
    const isReplaced = sql`EXISTS (SELECT 1 FROM replica_counts AS next
      WHERE next.replica_set = ${replicaCounts.replicaSet} AND next.at_ms <= ${beforeMs}
      AND (next.at_ms, next.id) > (${replicaCounts.atMs}, ${replicaCounts.id}))`;
    const isOver = and(lt(replicaCounts.atMs, beforeMs), or(isNull(replicaCounts.ready), isReplaced));
    const isTooMany = lte(replicaCounts.id, (newest?.id ?? 0) - this.#keptMax);
    return Number(orm.delete(replicaCounts).where(or(isOver, isTooMany)).run().changes);
  }
}

/** Asked for each set at once. */
function prepareNewest({ orm }: Database) {
  return orm.select().from(replicaCounts).where(and(
    eq(replicaCounts.replicaSet, sql.placeholder("replicaSet")),
    lte(replicaCounts.atMs, sql.placeholder("atMs")),
  )).orderBy(desc(replicaCounts.atMs), desc(replicaCounts.id)).limit(1).prepare();
}

/**
 * The newest lines that modules printed, by replicaSet: written in batches by `manager/module_logs`, read whole at the
 * start. Invariant: after `write()` a set has at most `keptMax` lines.
 */
import { and, asc, desc, eq, inArray, lte } from "drizzle-orm";
import { limits } from "../limits.ts";
import type { LogLineView } from "../protocol/views.ts";
import type { Database } from "./database.ts";
import { moduleLogs } from "./schema.ts";

export class LogStore {
  readonly #database: Database;
  readonly #keptMax: number;

  constructor(database: Database, keptMax: number = limits.logLinesKept) {
    this.#database = database;
    this.#keptMax = keptMax;
  }

  /** Everything that is kept, oldest first. */
  loadAll(): LogLineView[] {
    return this.#database.orm.select().from(moduleLogs).orderBy(asc(moduleLogs.id)).all()
      .map(({ id, replicaSet, line }) => ({ ...line, id, replicaSet }));
  }

  /** Adds lines, and drops the oldest of their sets, in one transaction. No lines: nothing is touched. */
  write(lines: readonly LogLineView[]): void {
    if (lines.length === 0) return;
    this.#database.transaction(() => {
      for (const { id, replicaSet, ...line } of lines) {
        this.#database.orm.insert(moduleLogs).values({ id, replicaSet, line }).run();
      }
      for (const replicaSet of new Set(lines.map((line) => line.replicaSet))) this.#prune(replicaSet);
    });
  }

  /** Forgets the lines of these sets. */
  remove(replicaSets: readonly string[]): void {
    this.#database.orm.delete(moduleLogs).where(inArray(moduleLogs.replicaSet, [...replicaSets])).run();
  }

  #prune(replicaSet: string): void {
    const isOfSet = eq(moduleLogs.replicaSet, replicaSet);
    const newestGone = this.#database.orm.select({ id: moduleLogs.id }).from(moduleLogs).where(isOfSet)
      .orderBy(desc(moduleLogs.id)).limit(1).offset(this.#keptMax).get();
    if (!newestGone) return;
    this.#database.orm.delete(moduleLogs).where(and(isOfSet, lte(moduleLogs.id, newestGone.id))).run();
  }
}

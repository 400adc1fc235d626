/**
 * Measured values over time: written in batches by `metrics/ingest`, read back by `metrics/query`. What a value
 * means is metrics' business; here it is JSON with a kind, a subject, a time and a resolution.
 * Invariant: a row covers [atMs, atMs + resolutionMs); writing it again replaces it.
 */
import { and, asc, desc, eq, gte, inArray, lt, type SQL, sql } from "drizzle-orm";
import { limits } from "../limits.ts";
import type { Database } from "./database.ts";
import { samples, sampleSubjects } from "./schema.ts";

export interface SampleRow {
  /** "endpoint", "agent" or "replicaSet". */
  kind: string;
  subject: string;
  atMs: number;
  value: unknown;
}

export interface SampleRange {
  resolutionMs: number;
  kind: string;
  /** Missing: all subjects of the kind. */
  subject?: string;
  fromMs: number;
  /** Not included. */
  toMs: number;
}

export class SampleStore {
  readonly #database: Database;
  readonly #insert;

  constructor(database: Database) {
    this.#database = database;
    this.#insert = database.orm.insert(samples).values({
      resolutionMs: sql.placeholder("resolutionMs"),
      subjectId: sql.placeholder("subjectId"),
      atMs: sql.placeholder("atMs"),
      value: sql.placeholder("value"),
    }).onConflictDoUpdate({
      target: [samples.resolutionMs, samples.subjectId, samples.atMs],
      set: { value: sql`excluded.value` },
    }).prepare();
  }

  /** All writes and prunings of `work` in one commit. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work);
  }

  /** Writes any number of rows of one resolution in one transaction. No rows: nothing is touched. */
  write(resolutionMs: number, rows: readonly SampleRow[]): void {
    if (rows.length === 0) return;
    this.#database.transaction(() => {
      const ids = this.#subjectIds();
      for (const { kind, subject, atMs, value } of rows) {
        const key = `${kind}/${subject}`;
        let subjectId = ids.get(key);
        if (subjectId === undefined) {
          subjectId =
            this.#database.orm.insert(sampleSubjects).values({ kind, subject }).returning().get().id;
          ids.set(key, subjectId);
        }
        this.#insert.run({ resolutionMs, subjectId, atMs, value });
      }
    });
  }

  /** The rows that start within the range, by subject, then time. */
  read(range: SampleRange): SampleRow[] {
    return this.#database.orm
      .select({
        kind: sampleSubjects.kind,
        subject: sampleSubjects.subject,
        atMs: samples.atMs,
        value: samples.value,
      })
      .from(sampleSubjects)
      .innerJoin(samples, eq(samples.subjectId, sampleSubjects.id))
      .where(and(
        eq(samples.resolutionMs, range.resolutionMs),
        isAbout(range.kind, range.subject),
        gte(samples.atMs, range.fromMs),
        lt(samples.atMs, range.toMs),
      ))
      .orderBy(asc(sampleSubjects.subject), asc(samples.atMs))
      .all();
  }

  /** Each subject's newest row that starts before `beforeMs`: the value a slowly changing series still has then. */
  lastBefore(resolutionMs: number, kind: string, subject: string | undefined, beforeMs: number): SampleRow[] {
    const subjects = this.#database.orm.select().from(sampleSubjects).where(isAbout(kind, subject)).all();
    return subjects.flatMap(({ id, subject }) => {
      const last = this.#database.orm.select({ atMs: samples.atMs, value: samples.value }).from(samples)
        .where(and(
          eq(samples.resolutionMs, resolutionMs),
          eq(samples.subjectId, id),
          lt(samples.atMs, beforeMs),
        ))
        .orderBy(desc(samples.atMs)).limit(1).get();
      return last ? [{ kind, subject, ...last }] : [];
    });
  }

  /** Drops rows of one resolution that start before `beforeMs`, and subjects with no rows left; returns the rows dropped. */
  prune(resolutionMs: number, beforeMs: number): number {
    return this.#database.transaction(() => {
      const allIds = this.#database.orm.select({ id: sampleSubjects.id }).from(sampleSubjects);
      // Naming the subjects lets SQLite seek in the key for each, where the time alone would read every row.
      const dropped = this.#database.orm.delete(samples).where(and(
        eq(samples.resolutionMs, resolutionMs),
        inArray(samples.subjectId, allIds),
        lt(samples.atMs, beforeMs),
      )).run().changes;
      if (Number(dropped) > 0) this.#pruneSubjects();
      return Number(dropped);
    });
  }

  #pruneSubjects(): void {
    // Both resolutions are named so that each look is one seek in the key.
    const used = sql`SELECT 1 FROM ${samples} WHERE ${samples.subjectId} = ${sampleSubjects.id}
      AND ${samples.resolutionMs} IN (${limits.sampleMs}, ${limits.rolledUpMs})`;
    this.#database.orm.delete(sampleSubjects).where(sql`NOT EXISTS (${used})`).run();
  }

  #subjectIds(): Map<string, number> {
    const rows = this.#database.orm.select().from(sampleSubjects).all();
    return new Map(rows.map(({ id, kind, subject }) => [`${kind}/${subject}`, id]));
  }
}

function isAbout(kind: string, subject: string | undefined): SQL | undefined {
  const isKind = eq(sampleSubjects.kind, kind);
  return subject === undefined ? isKind : and(isKind, eq(sampleSubjects.subject, subject));
}

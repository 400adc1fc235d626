/**
 * The history on the disk: blocks of a subject's minute or hour, which `metrics/history` packs and unpacks, and the
 * rows that earlier formats kept instead. What a block holds is not known here (docs/decisions/0023).
 * Invariant: a table's ids are `slot * 2^24 + subject`, so the newest are at its end.
 */
import { and, asc, desc, eq, inArray, lt, type SQL, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { sampleHours, sampleMinutes, samples, sampleSubjects } from "./schema.ts";

/** What a block is of; its slot is the number of them since the Unix epoch. */
export type BlockSpan = "minute" | "hour";

export interface SubjectRow {
  id: number;
  kind: string;
  subject: string;
}

export interface NewBlock {
  kind: string;
  subject: string;
  slot: number;
  bytes: Uint8Array;
}

export interface StoredBlock {
  slot: number;
  bytes: Uint8Array;
}

/** A row of an earlier format. */
export interface EarlierRow {
  atMs: number;
  value: unknown;
}

const tables = { minute: sampleMinutes, hour: sampleHours } as const;
const tableNames = { minute: "sample_minutes", hour: "sample_hours" } as const;
const spanMs = { minute: 60_000, hour: 3600_000 } as const;
/** All that are large, and of which damage costs no more than a part of a chart. */
export const sampleTables: readonly string[] = ["samples", ...Object.values(tableNames)];

/** Ids of subjects are below this: ten thousand new ones a day fill it in four years. */
const subjectsMax = 2 ** 24;
/** A subject is noted to be in use at most so often. */
const usedEveryMs = 24 * 3600_000;
/** A range of more slots is read from one end to the other instead of looking for each. */
const seeksMax = 2000;

export class SampleStore {
  readonly #database: Database;
  readonly #inserts;
  readonly #findSubject;
  readonly #useSubject;

  constructor(database: Database) {
    this.#database = database;
    const insertInto = (span: BlockSpan) =>
      database.orm.insert(tables[span])
        .values({ id: sql.placeholder("id"), block: sql.placeholder("block") })
        .onConflictDoUpdate({ target: tables[span].id, set: { block: sql`excluded.block` } }).prepare();
    this.#inserts = { minute: insertInto("minute"), hour: insertInto("hour") };
    const { id, kind, subject } = sampleSubjects;
    const isNamed = and(eq(kind, sql.placeholder("kind")), eq(subject, sql.placeholder("subject")));
    this.#findSubject = database.orm.select({ id }).from(sampleSubjects).where(isNamed).prepare();
    const placeholders = {
      kind: sql.placeholder("kind"),
      subject: sql.placeholder("subject"),
      usedAtMs: sql.placeholder("usedAtMs"),
    };
    this.#useSubject = database.orm.insert(sampleSubjects).values(placeholders)
      .onConflictDoUpdate({ target: [kind, subject], set: { usedAtMs: sql`excluded.used_at_ms` } })
      .returning({ id }).prepare();
  }

  /** All writes and prunings of `work` in one commit. */
  transaction<T>(work: () => T): T {
    return this.#database.transaction(work);
  }

  /** Every subject, or those of a kind, by their names. */
  subjects(kind?: string): SubjectRow[] {
    const { id, subject } = sampleSubjects;
    return this.#database.orm.select({ id, kind: sampleSubjects.kind, subject }).from(sampleSubjects)
      .where(kind === undefined ? undefined : eq(sampleSubjects.kind, kind))
      .orderBy(asc(sampleSubjects.kind), asc(subject)).all();
  }

  /** The id of one subject; undefined when nothing is known of it. */
  subjectId(kind: string, subject: string): number | undefined {
    return this.#findSubject.get({ kind, subject })?.id;
  }

  /** Writes any number of blocks in one transaction, each in place of the one with its subject and slot. */
  writeBlocks(span: BlockSpan, blocks: readonly NewBlock[]): void {
    if (blocks.length === 0) return;
    this.#database.transaction(() => {
      const known = this.#subjectsByName();
      const rows = blocks.map((block) => ({
        id: block.slot * subjectsMax + this.#use(block, block.slot * spanMs[span], known),
        block: block.bytes,
      }));
      // In the order of the table, each lands behind the last.
      for (const row of rows.sort((left, right) => left.id - right.id)) this.#inserts[span].run(row);
    });
  }

  /** A subject's blocks with `fromSlot <= slot < toSlot`, in time. */
  readBlocks(span: BlockSpan, subjectId: number, fromSlot: number, toSlot: number): StoredBlock[] {
    let [first, end] = [fromSlot, toSlot];
    if (end - first > seeksMax) {
      first = Math.max(first, this.oldestSlot(span, first) ?? Infinity);
      end = Math.min(end, (this.newestSlot(span, end) ?? -Infinity) + 1);
    }
    if (first >= end) return [];
    const rows = end - first <= seeksMax
      ? this.#database.rows(seekBlocks(span), first, end, subjectId)
      : this.#database.rows(scanBlocks(span), first * subjectsMax, end * subjectsMax, subjectId);
    return rows.map(([slot, bytes]) => ({ slot: slot as number, bytes: bytes as Uint8Array }));
  }

  /** The newest slot of any subject, of those before `beforeSlot` when that is given. */
  newestSlot(span: BlockSpan, beforeSlot = Number.MAX_SAFE_INTEGER / subjectsMax): number | undefined {
    const table = tables[span];
    const row = this.#database.orm.select({ id: table.id }).from(table)
      .where(lt(table.id, idOf(beforeSlot))).orderBy(desc(table.id)).limit(1).get();
    return row && Math.floor(row.id / subjectsMax);
  }

  /** The oldest slot of any subject from `fromSlot` on. */
  oldestSlot(span: BlockSpan, fromSlot = 0): number | undefined {
    const table = tables[span];
    const row = this.#database.orm.select({ id: table.id }).from(table)
      .where(sql`${table.id} >= ${idOf(fromSlot)}`).orderBy(asc(table.id)).limit(1).get();
    return row && Math.floor(row.id / subjectsMax);
  }

  /** Drops blocks before `beforeSlot`; returns how many. */
  pruneBlocks(span: BlockSpan, beforeSlot: number): number {
    const table = tables[span];
    return Number(this.#database.orm.delete(table).where(lt(table.id, idOf(beforeSlot))).run().changes);
  }

  /** Forgets subjects that have had no samples since `beforeMs`. */
  pruneSubjects(beforeMs: number): void {
    this.#database.orm.delete(sampleSubjects).where(lt(sampleSubjects.usedAtMs, beforeMs - usedEveryMs))
      .run();
  }

  /** Up to when there are rows of an earlier format, ms; undefined when there are none. */
  earlierToMs(resolutionMs: number): number | undefined {
    const found = this.#earlierTimes(
      sql`SELECT max(at_ms) FROM ${samples} WHERE resolution_ms = ${resolutionMs}`,
    );
    return found.length === 0 ? undefined : Math.max(...found) + resolutionMs;
  }

  /** When the oldest row of an earlier format starts of those from `fromMs` on. */
  oldestEarlier(resolutionMs: number, fromMs: number): number | undefined {
    const found = this.#earlierTimes(
      sql`SELECT min(at_ms) FROM ${samples} WHERE resolution_ms = ${resolutionMs} AND at_ms >= ${fromMs}`,
    );
    return found.length === 0 ? undefined : Math.min(...found);
  }

  /** One time of each subject that has such rows: the subject is first in their key, so each is one look. */
  #earlierTimes(query: SQL): number[] {
    const atMs = sql<number | null>`(${query} AND subject_id = ${sampleSubjects.id})`;
    return this.#database.orm.select({ atMs }).from(sampleSubjects).all()
      .flatMap((row) => row.atMs === null ? [] : [row.atMs]);
  }

  /** A subject's rows of an earlier format that start within [fromMs, toMs), in time. */
  readEarlier(resolutionMs: number, subjectId: number, fromMs: number, toMs: number): EarlierRow[] {
    return this.#database.orm.select({ atMs: samples.atMs, value: samples.value }).from(samples)
      .where(and(isEarlier(resolutionMs, subjectId, toMs), sql`${samples.atMs} >= ${fromMs}`))
      .orderBy(asc(samples.atMs)).all();
  }

  /** A subject's newest row of an earlier format that starts before `beforeMs`. */
  lastEarlier(resolutionMs: number, subjectId: number, beforeMs: number): EarlierRow | undefined {
    return this.#database.orm.select({ atMs: samples.atMs, value: samples.value }).from(samples)
      .where(isEarlier(resolutionMs, subjectId, beforeMs)).orderBy(desc(samples.atMs)).limit(1).get();
  }

  /** Drops rows of an earlier format that start before `beforeMs`. */
  pruneEarlier(resolutionMs: number, beforeMs: number): void {
    const allIds = this.#database.orm.select({ id: sampleSubjects.id }).from(sampleSubjects);
    // Naming the subjects lets SQLite seek in the key for each, where the time alone would read every row.
    this.#database.orm.delete(samples).where(and(
      eq(samples.resolutionMs, resolutionMs),
      inArray(samples.subjectId, allIds),
      lt(samples.atMs, beforeMs),
    )).run();
  }

  #subjectsByName(): Map<string, { id: number; usedAtMs: number }> {
    const rows = this.#database.orm.select().from(sampleSubjects).all();
    return new Map(rows.map(({ id, kind, subject, usedAtMs }) => [`${kind}/${subject}`, { id, usedAtMs }]));
  }

  /** The subject's id; it is added when it is new, and noted to be in use. */
  #use(
    { kind, subject }: NewBlock,
    usedAtMs: number,
    known: Map<string, { id: number; usedAtMs: number }>,
  ): number {
    const key = `${kind}/${subject}`;
    const found = known.get(key);
    if (found && found.usedAtMs > usedAtMs - usedEveryMs) return found.id;
    const row = this.#useSubject.get({ kind, subject, usedAtMs });
    if (row.id >= subjectsMax) {
      throw new RangeError(`A subject's id must be below ${subjectsMax}, is ${row.id}`);
    }
    known.set(key, { id: row.id, usedAtMs });
    return row.id;
  }
}

function idOf(slot: number): number {
  return Math.ceil(slot * subjectsMax);
}

function isEarlier(resolutionMs: number, subjectId: number, beforeMs: number): SQL | undefined {
  return and(
    eq(samples.resolutionMs, resolutionMs),
    eq(samples.subjectId, subjectId),
    lt(samples.atMs, beforeMs),
  );
}

/** One look into the table for each slot: between a subject's blocks are those of all others. */
function seekBlocks(span: BlockSpan): string {
  return `WITH RECURSIVE slots (slot) AS (
      SELECT CAST(?1 AS INTEGER) UNION ALL SELECT slot + 1 FROM slots WHERE slot + 1 < ?2
    )
    SELECT slots.slot, blocks.block FROM slots
    CROSS JOIN ${tableNames[span]} AS blocks ON blocks.id = slots.slot * ${subjectsMax} + ?3
    ORDER BY slots.slot`;
}

/** For a table with a hole of years in it, which a clock that was wrong leaves. */
function scanBlocks(span: BlockSpan): string {
  return `SELECT id / ${subjectsMax}, block FROM ${tableNames[span]}
    WHERE id >= ?1 AND id < ?2 AND id % ${subjectsMax} = ?3 ORDER BY id`;
}

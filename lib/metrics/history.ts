/**
 * The stored past: samples by 10 s in blocks of a minute, and by 5 min in blocks of an hour. `sample_writer` → here →
 * `store/samples`, and back to `query`. Reads rows of earlier formats too, for as long as there are any.
 * Invariant: a table grows at its end only, so that the disk is written once for what is kept once
 * (docs/decisions/0023).
 */
import { limits } from "../limits.ts";
import { packBlock, type Slot, unpackBlock } from "./block.ts";
import { mergeSamples, type Sample, type SampleKind } from "./sample.ts";

/** What the history needs of `store/samples`. */
export interface BlockStorage {
  transaction<T>(work: () => T): T;
  subjects(kind?: string): { id: number; kind: string; subject: string }[];
  subjectId(kind: string, subject: string): number | undefined;
  writeBlocks(
    span: "minute" | "hour",
    blocks: readonly { kind: string; subject: string; slot: number; bytes: Uint8Array }[],
  ): void;
  readBlocks(
    span: "minute" | "hour",
    subjectId: number,
    fromSlot: number,
    toSlot: number,
  ): { slot: number; bytes: Uint8Array }[];
  newestSlot(span: "minute" | "hour", beforeSlot?: number): number | undefined;
  oldestSlot(span: "minute" | "hour", fromSlot?: number): number | undefined;
  pruneBlocks(span: "minute" | "hour", beforeSlot: number): number;
  pruneSubjects(beforeMs: number): void;
  earlierToMs(resolutionMs: number): number | undefined;
  readEarlier(
    resolutionMs: number,
    subjectId: number,
    fromMs: number,
    toMs: number,
  ): { atMs: number; value: unknown }[];
  lastEarlier(
    resolutionMs: number,
    subjectId: number,
    beforeMs: number,
  ): { atMs: number; value: unknown } | undefined;
  oldestEarlier(resolutionMs: number, fromMs: number): number | undefined;
  pruneEarlier(resolutionMs: number, beforeMs: number): void;
}

export interface SampleRange {
  /** Of the 10 s or of the 5 min samples. */
  resolutionMs: number;
  kind: SampleKind;
  /** Missing: all subjects of the kind. */
  subject?: string;
  fromMs: number;
  /** Not included. */
  toMs: number;
  /** What can't be read is left out. Who shows the past is told of it instead; what goes on must go on. */
  skipsDamaged?: boolean;
}

/** How each resolution is kept. */
const fine = { resolutionMs: limits.sampleMs, span: "minute", spanMs: 60_000 } as const;
const coarse = { resolutionMs: limits.rolledUpMs, span: "hour", spanMs: 3600_000 } as const;
type Layout = typeof fine | typeof coarse;

/** How long before the newest row an agent's own may be whose value still holds; see `refreshAfterMs` in `ingest`. */
const heldSlots = { minute: 62, hour: 3 } as const;

export class History {
  readonly #storage: BlockStorage;
  /** Up to when there are rows of earlier formats, by resolution; looked up once, since none are added. */
  readonly #earlier = new Map<number, number | undefined>();

  constructor(storage: BlockStorage) {
    this.#storage = storage;
  }

  /** All writes and prunings of `work` in one commit. */
  transaction<T>(work: () => T): T {
    return this.#storage.transaction(work);
  }

  subjects(kind: SampleKind): string[] {
    return this.#storage.subjects(kind).map(({ subject }) => subject);
  }

  /** All that is known of, by kind and name. */
  allSubjects(): { kind: SampleKind; subject: string }[] {
    return this.#storage.subjects().map(({ kind, subject }) => ({ kind: kind as SampleKind, subject }));
  }

  /** Adds samples of one resolution; what is stored for the same time is merged with them. */
  write(resolutionMs: number, rows: readonly Sample[]): void {
    this.#save(resolutionMs, rows, (stored) => stored);
  }

  /** Writes samples over those of the same time, and leaves the others: what is rolled up twice counts once. */
  replace(resolutionMs: number, rows: readonly Sample[]): void {
    this.#save(resolutionMs, rows, (stored, own) => {
      const times = new Set(own.map((row) => row.atMs));
      return stored.filter((row) => !times.has(row.atMs));
    });
  }

  /** `kept`: what goes on to count of a block that is stored already, beside its `own` new rows. */
  #save(
    resolutionMs: number,
    rows: readonly Sample[],
    kept: (stored: readonly Sample[], own: readonly Sample[]) => readonly Sample[],
  ): void {
    const layout = layoutOf(resolutionMs);
    const { span, spanMs } = layout;
    const newest = this.#storage.newestSlot(span) ?? -Infinity;
    const byBlock = Map.groupBy(
      rows,
      (row) => `${row.kind}/${row.subject}/${Math.floor(row.atMs / spanMs)}`,
    );
    const blocks = [...byBlock.values()].map((own) => {
      const [{ subject, atMs }] = own;
      const kind = own[0].kind as SampleKind;
      const slot = Math.floor(atMs / spanMs);
      const stored = slot <= newest ? this.#readOwn(layout, kind, subject, slot) : [];
      const bytes = packBlock(kind, slotsOf(layout, kind, [...kept(stored, own), ...own]));
      return { kind, subject, slot, bytes };
    });
    this.#storage.writeBlocks(span, blocks);
  }

  /** The samples that start within the range, by subject, then time. */
  read(range: SampleRange): Sample[] {
    return this.#subjects(range.kind, range.subject)
      .flatMap((each) => this.#read(range, each.subject, each.id));
  }

  /** Each agent's newest sample that starts before `beforeMs`: the value that it still has then. */
  lastOfAgents(resolutionMs: number, subject: string | undefined, beforeMs: number): Sample[] {
    const layout = layoutOf(resolutionMs);
    const newest = this.#storage.newestSlot(layout.span, Math.ceil(beforeMs / layout.spanMs));
    const fromMs = newest === undefined ? beforeMs : (newest - heldSlots[layout.span]) * layout.spanMs;
    // Rows of earlier formats hold for as long as it may be, but not over newer ones that have none of the agent.
    const reachesEarlier = (newest === undefined ? 0 : fromMs) < (this.#earlierToMs(layout) ?? -Infinity);
    return this.#subjects("agent", subject).flatMap((each) => {
      const range = { resolutionMs, kind: "agent" as const, fromMs, toMs: beforeMs, skipsDamaged: true };
      const last = this.#read(range, each.subject, each.id).at(-1) ??
        (reachesEarlier ? this.#lastEarlier(layout, each, beforeMs) : undefined);
      return last ? [last] : [];
    });
  }

  /** When the newest sample of all ends that starts before `beforeMs`; undefined when there is none. */
  lastSignMs(beforeMs: number): number | undefined {
    const newest = this.#storage.newestSlot(fine.span, Math.ceil(beforeMs / fine.spanMs));
    const earlier = this.#earlierToMs(fine);
    const fromMs = Math.max(0, newest === undefined ? (earlier ?? 0) : newest * fine.spanMs) - fine.spanMs;
    const times = { resolutionMs: fine.resolutionMs, fromMs, toMs: beforeMs, skipsDamaged: true };
    const signs = this.#storage.subjects().flatMap(({ id, kind, subject }) => {
      const range = { ...times, kind: kind as SampleKind };
      return this.#read(range, subject, id).map((row) => row.atMs + fine.resolutionMs);
    });
    return signs.length === 0 ? undefined : signs.reduce((left, right) => Math.max(left, right));
  }

  /** The start of the hour that the newest 5 min samples are in, or where those of earlier formats end. */
  rolledUpToMs(): number | undefined {
    const newest = this.#storage.newestSlot(coarse.span);
    const earlier = this.#earlierToMs(coarse);
    if (newest === undefined) return earlier;
    return Math.max(newest * coarse.spanMs, earlier ?? -Infinity);
  }

  /** The minute of the oldest 10 s sample that starts at `fromMs` or later; undefined when there is none. */
  oldestMs(fromMs: number): number | undefined {
    const slot = this.#storage.oldestSlot(fine.span, Math.floor(fromMs / fine.spanMs));
    const oldest = slot === undefined ? Infinity : Math.max(fromMs, slot * fine.spanMs);
    const isEarlier = fromMs < (this.#earlierToMs(fine) ?? -Infinity);
    const earlier = isEarlier ? this.#storage.oldestEarlier(fine.resolutionMs, fromMs) : undefined;
    return slot === undefined && earlier === undefined ? undefined : Math.min(oldest, earlier ?? Infinity);
  }

  /** Drops 10 s samples before the one time and 5 min samples before the other, and subjects that have no more. */
  prune(fineBeforeMs: number, coarseBeforeMs: number): void {
    for (const [layout, beforeMs] of [[fine, fineBeforeMs], [coarse, coarseBeforeMs]] as const) {
      this.#storage.pruneBlocks(layout.span, Math.floor(beforeMs / layout.spanMs));
      if (this.#earlierToMs(layout) !== undefined) {
        this.#storage.pruneEarlier(layout.resolutionMs, beforeMs);
        this.#earlier.delete(layout.resolutionMs);
      }
    }
    this.#storage.pruneSubjects(coarseBeforeMs - coarse.spanMs);
  }

  /** The one that is named, if anything is known of it, or all of the kind. */
  #subjects(kind: SampleKind, subject: string | undefined): { id: number; subject: string }[] {
    if (subject === undefined) return this.#storage.subjects(kind);
    const id = this.#storage.subjectId(kind, subject);
    return id === undefined ? [] : [{ id, subject }];
  }

  #read(range: SampleRange, subject: string, id: number): Sample[] {
    const { resolutionMs, kind, fromMs, toMs, skipsDamaged = false } = range;
    const layout = layoutOf(resolutionMs);
    const { span, spanMs } = layout;
    const isWithin = (row: Sample) => row.atMs >= fromMs && row.atMs < toMs;
    const rows = this.#storage.readBlocks(span, id, Math.floor(fromMs / spanMs), Math.ceil(toMs / spanMs))
      .flatMap((block) => rowsOf(layout, kind, subject, block, skipsDamaged)).filter(isWithin);
    const earlierToMs = this.#earlierToMs(layout);
    if (earlierToMs === undefined || fromMs >= earlierToMs) return rows;
    const earlier = this.#storage.readEarlier(resolutionMs, id, fromMs, toMs)
      .map((row) => ({ kind, subject, ...row }));
    return [...earlier, ...rows].sort((left, right) => left.atMs - right.atMs);
  }

  /** What one block holds already. */
  #readOwn(layout: Layout, kind: SampleKind, subject: string, slot: number): Sample[] {
    const id = this.#storage.subjectId(kind, subject);
    const [block] = id === undefined ? [] : this.#storage.readBlocks(layout.span, id, slot, slot + 1);
    return block ? rowsOf(layout, kind, subject, block, true) : [];
  }

  #lastEarlier(layout: Layout, { id, subject }: { id: number; subject: string }, beforeMs: number) {
    const row = this.#storage.lastEarlier(layout.resolutionMs, id, beforeMs);
    return row && { kind: "agent" as const, subject, ...row };
  }

  #earlierToMs({ resolutionMs }: Layout): number | undefined {
    if (!this.#earlier.has(resolutionMs)) {
      this.#earlier.set(resolutionMs, this.#storage.earlierToMs(resolutionMs));
    }
    return this.#earlier.get(resolutionMs);
  }
}

function layoutOf(resolutionMs: number): Layout {
  return resolutionMs === fine.resolutionMs ? fine : coarse;
}

function rowsOf(
  { spanMs, resolutionMs }: Layout,
  kind: SampleKind,
  subject: string,
  { slot, bytes }: { slot: number; bytes: Uint8Array },
  skipsDamaged: boolean,
): Sample[] {
  try {
    return unpackBlock(kind, bytes).map((each) => (
      { kind, subject, atMs: slot * spanMs + each.slot * resolutionMs, value: each.value }
    ));
  } catch (thrown) {
    if (skipsDamaged && thrown instanceof RangeError) return [];
    throw thrown;
  }
}

/** Rows of one subject and block at their places; several of one place become one. */
function slotsOf({ spanMs, resolutionMs }: Layout, kind: SampleKind, rows: readonly Sample[]): Slot[] {
  const bySlot = Map.groupBy(rows, (row) => Math.floor((row.atMs % spanMs) / resolutionMs));
  return [...bySlot].sort(([left], [right]) => left - right).map(([slot, own]) => ({
    slot,
    value: own.length === 1 ? own[0].value : mergeSamples(kind, own, own[0].atMs + resolutionMs),
  }));
}

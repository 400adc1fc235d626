/**
 * Carries finished samples to the store, sparing the disk: rows gather in memory and go out at most once a
 * minute in one transaction, which also rolls 10 s rows up to 5 min and drops what is too old.
 * Invariant: with nothing new to say, nothing is written.
 */
import { limits } from "../limits.ts";
import {
  type AgentValue,
  lastOf,
  mergeSamples,
  type Sample,
  type SampleKind,
  sampleKinds,
} from "./sample.ts";

/** What metrics needs of `store/samples`. */
export interface SampleStorage {
  transaction<T>(work: () => T): T;
  write(resolutionMs: number, rows: readonly Sample[]): void;
  read(
    range: { resolutionMs: number; kind: string; subject?: string; fromMs: number; toMs: number },
  ): Sample[];
  lastBefore(resolutionMs: number, kind: string, subject: string | undefined, beforeMs: number): Sample[];
  prune(resolutionMs: number, beforeMs: number): number;
}

/** Rows kept while the store refuses them (disk full); the oldest go first. */
const pendingRowsMax = 100_000;

export class SampleWriter {
  readonly #storage: SampleStorage;
  #pending: Sample[] = [];
  #lastFlushMs: number;
  /** 5 min rows exist for everything before this; undefined until the store was asked. */
  #rolledUpToMs: number | undefined;
  /** 10 s rows were written that aren't rolled up yet; at start nobody knows. */
  #hasUnrolled = true;
  #hasMarkedGone = false;

  constructor(storage: SampleStorage, nowMs: number) {
    this.#storage = storage;
    this.#lastFlushMs = nowMs;
  }

  /** Finished rows that aren't in the store yet. */
  get pending(): readonly Sample[] {
    return this.#pending;
  }

  /** 5 min rows are complete before this time; what follows is still in 10 s rows. */
  rolledUpToMs(nowMs: number): number {
    this.#rolledUpToMs ??= this.#findRolledUpTo(nowMs);
    return this.#rolledUpToMs;
  }

  add(rows: readonly Sample[]): void {
    for (const row of rows) this.#pending.push(row);
    if (this.#pending.length > pendingRowsMax) this.#pending.splice(0, this.#pending.length - pendingRowsMax);
  }

  /** Whether a minute has passed since the last flush and there is something to write or to roll up. */
  isDue(nowMs: number): boolean {
    // A wall clock set back must not stop the writing until it has caught up.
    const sinceMs = nowMs - this.#lastFlushMs;
    if (sinceMs >= 0 && sinceMs < limits.sampleFlushMs) return false;
    return this.#pending.length > 0 || this.#isRollUpDue(nowMs);
  }

  /** Writes everything pending in one transaction. What the store throws passes through; the rows stay pending. */
  flush(nowMs: number): void {
    const rows = this.#pending;
    this.#lastFlushMs = nowMs;
    if (rows.length === 0 && !this.#isRollUpDue(nowMs)) return;
    const rolledUpToMs = this.#storage.transaction(() => {
      if (rows.length > 0) this.#storage.write(limits.sampleMs, [...this.#goneMarkers(rows), ...rows]);
      return this.#rollUp(nowMs);
    });
    this.#pending = [];
    this.#hasMarkedGone ||= rows.length > 0;
    this.#hasUnrolled = rows.length > 0 || (this.#hasUnrolled && rolledUpToMs === this.#rolledUpToMs);
    this.#rolledUpToMs = rolledUpToMs;
  }

  #isRollUpDue(nowMs: number): boolean {
    return this.#hasUnrolled && windowStart(nowMs) > this.rolledUpToMs(nowMs);
  }

  /** Makes the 5 min rows of all windows that have ended; returns up to when they are complete. */
  #rollUp(nowMs: number): number {
    const fromMs = Math.min(this.rolledUpToMs(nowMs), windowStart(nowMs));
    const toMs = windowStart(nowMs);
    if (toMs <= fromMs) return fromMs;
    for (const kind of sampleKinds) {
      const fine = this.#storage.read({ resolutionMs: limits.sampleMs, kind, fromMs, toMs });
      this.#storage.write(limits.rolledUpMs, rollUpRows(kind, fine));
    }
    this.#storage.prune(limits.sampleMs, nowMs - limits.sampleKeptMs);
    this.#storage.prune(limits.rolledUpMs, nowMs - limits.rolledUpKeptMs);
    return toMs;
  }

  #findRolledUpTo(nowMs: number): number {
    const newest = sampleKinds.flatMap((kind) =>
      this.#storage.lastBefore(limits.rolledUpMs, kind, undefined, nowMs)
    );
    const kept = windowStart(nowMs - limits.sampleKeptMs);
    return Math.max(kept, ...newest.map((row) => row.atMs + limits.rolledUpMs));
  }

  /**
   * An agent's value holds until its next row, so a manager that died must not seem to know how its agents fared
   * until it was back: before its first rows they are marked gone at the last time it showed a sign of life.
   */
  #goneMarkers(rows: readonly Sample[]): Sample[] {
    if (this.#hasMarkedGone) return [];
    const firstMs = Math.min(...rows.map((row) => row.atMs));
    const lastOfKind = (kind: SampleKind) =>
      this.#storage.lastBefore(limits.sampleMs, kind, undefined, firstMs);
    const lastAgents = lastOfKind("agent");
    const newest = [...lastAgents, ...lastOfKind("endpoint"), ...lastOfKind("replicaSet")];
    const atMs = Math.max(...newest.map((row) => row.atMs)) + limits.sampleMs;
    if (newest.length === 0 || atMs >= firstMs) return [];
    return lastAgents.filter((row) => lastOf(row.value as AgentValue) !== null)
      .map(({ kind, subject }) => ({ kind, subject, atMs, value: { v: null } satisfies AgentValue }));
  }
}

/** 10 s rows of one kind, by subject and time, as 5 min rows. */
export function rollUpRows(kind: SampleKind, fine: readonly Sample[]): Sample[] {
  const coarse: Sample[] = [];
  for (let from = 0, to = 0; from < fine.length; from = to) {
    const { subject } = fine[from];
    const atMs = windowStart(fine[from].atMs);
    while (to < fine.length && fine[to].subject === subject && windowStart(fine[to].atMs) === atMs) to += 1;
    const value = mergeSamples(kind, fine.slice(from, to), atMs + limits.rolledUpMs);
    coarse.push({ kind, subject, atMs, value });
  }
  return coarse;
}

function windowStart(atMs: number): number {
  return Math.floor(atMs / limits.rolledUpMs) * limits.rolledUpMs;
}

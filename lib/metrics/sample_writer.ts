/**
 * Carries finished samples to the history, sparing the disk: rows gather in memory and go out when a minute is over,
 * all in one transaction, which also makes a part of the 5 min samples when an hour is over.
 * Invariant: with nothing new to say, nothing is written.
 */
import type { History } from "./history.ts";
import { limits } from "../limits.ts";
import { RollUp } from "./roll_up.ts";
import { type AgentValue, lastOf, type Sample } from "./sample.ts";

/** Rows kept while the store refuses them (disk full); the oldest go first. */
const pendingRowsMax = 100_000;

export class SampleWriter {
  readonly #history: History;
  readonly #rollUp: RollUp;
  #pending: Sample[] = [];
  #lastFlush: number;
  #hasMarkedGone = false;

  constructor(history: History, nowMs: number) {
    this.#history = history;
    this.#rollUp = new RollUp(history);
    this.#lastFlush = minuteOf(nowMs);
  }

  /** Finished rows that aren't in the store yet. */
  get pending(): readonly Sample[] {
    return this.#pending;
  }

  /** 5 min rows are complete before this time; what follows is still in 10 s rows. */
  rolledUpToMs(nowMs: number): number {
    return this.#rollUp.rolledUpToMs(nowMs);
  }

  add(rows: readonly Sample[]): void {
    for (const row of rows) this.#pending.push(row);
    if (this.#pending.length > pendingRowsMax) this.#pending.splice(0, this.#pending.length - pendingRowsMax);
  }

  /** Whether another minute has begun than the one of the last flush, be it that the wall clock was set back. */
  isDue(nowMs: number): boolean {
    return minuteOf(nowMs) !== this.#lastFlush;
  }

  /** Writes everything pending in one transaction. What the store throws passes through; the rows stay pending. */
  flush(nowMs: number): void {
    const rows = this.#pending;
    this.#lastFlush = minuteOf(nowMs);
    if (rows.length === 0 && !this.#rollUp.isDue(nowMs)) return;
    const progress = this.#history.transaction(() => {
      if (rows.length > 0) this.#history.write(limits.sampleMs, [...this.#goneMarkers(rows), ...rows]);
      return this.#rollUp.step(nowMs);
    });
    this.#rollUp.finish(progress);
    this.#pending = [];
    this.#hasMarkedGone ||= rows.length > 0;
  }

  /**
   * An agent's value holds until its next row, so a manager that died must not seem to know how its agents fared
   * until it was back: before its first rows they are marked gone at the last time it showed a sign of life.
   */
  #goneMarkers(rows: readonly Sample[]): Sample[] {
    if (this.#hasMarkedGone) return [];
    const firstMs = rows.reduce((first, row) => Math.min(first, row.atMs), Infinity);
    const atMs = this.#history.lastSignMs(firstMs);
    if (atMs === undefined || atMs >= firstMs) return [];
    return this.#history.lastOfAgents(limits.sampleMs, undefined, firstMs)
      .filter((row) => lastOf(row.value as AgentValue) !== null)
      .map(({ kind, subject }) => ({ kind, subject, atMs, value: { v: null } satisfies AgentValue }));
  }
}

function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / limits.sampleFlushMs);
}

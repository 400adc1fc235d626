/**
 * Makes the 5 min samples of each hour that is over from its 10 s samples, a part of the subjects at a time, since the
 * manager has one thread; then drops what is too old. Driven by `sample_writer`, within its transactions.
 * Invariant: nothing that a transaction does changes what it knows before `finish()`, so that one that fails leaves it
 * as it was.
 */
import { limits } from "../limits.ts";
import type { History } from "./history.ts";
import { mergeSamples, type Sample, type SampleKind } from "./sample.ts";

const hourMs = 3600_000;
/** An hour is done in so many parts, a minute apart, unless they would be of fewer subjects than this. */
const partsMax = 30;
const partMin = 20;

interface Progress {
  /** 5 min samples are complete before this time. */
  rolledUpToMs: number;
  /** How many of the subjects have theirs of the hour that follows. */
  subjectsDone: number;
}

export class RollUp {
  readonly #history: History;
  /** Undefined until the history was asked. */
  #progress: Progress | undefined;

  constructor(history: History) {
    this.#history = history;
  }

  /** 5 min samples are complete before this time; what follows is in 10 s samples only. */
  rolledUpToMs(nowMs: number): number {
    return this.#known(nowMs).rolledUpToMs;
  }

  /** Whether an hour is over that isn't done yet. */
  isDue(nowMs: number): boolean {
    return hourEnd(this.#known(nowMs).rolledUpToMs) <= nowMs &&
      this.#history.oldestMs(this.#known(nowMs).rolledUpToMs) !== undefined;
  }

  /** Does the next part, if there is one; returns what `finish()` takes once that is committed. */
  step(nowMs: number): Progress {
    const { rolledUpToMs, subjectsDone } = this.#known(nowMs);
    const oldestMs = this.#history.oldestMs(rolledUpToMs);
    if (oldestMs === undefined || hourEnd(oldestMs) > nowMs) {
      // Nothing happened in the hours between.
      const toMs = Math.max(rolledUpToMs, hourStart(Math.min(nowMs, oldestMs ?? nowMs)));
      return { rolledUpToMs: toMs, subjectsDone: 0 };
    }
    const fromMs = Math.max(rolledUpToMs, hourStart(oldestMs));
    const done = fromMs === rolledUpToMs ? subjectsDone : 0;
    const subjects = this.#history.allSubjects();
    const part = Math.max(partMin, Math.ceil(subjects.length / partsMax));
    // Written at once: for each write the names of all subjects are read.
    const rows = subjects.slice(done, done + part)
      .flatMap(({ kind, subject }) => this.#rollUp(kind, subject, fromMs));
    this.#history.replace(limits.rolledUpMs, rows);
    if (done + part < subjects.length) return { rolledUpToMs: fromMs, subjectsDone: done + part };
    const toMs = hourEnd(fromMs);
    this.#history.prune(Math.min(toMs, nowMs - limits.sampleKeptMs), nowMs - limits.rolledUpKeptMs);
    return { rolledUpToMs: toMs, subjectsDone: 0 };
  }

  finish(progress: Progress): void {
    this.#progress = progress;
  }

  #rollUp(kind: SampleKind, subject: string, fromMs: number): Sample[] {
    const range = { kind, subject, fromMs, toMs: hourEnd(fromMs), skipsDamaged: true };
    return rollUpRows(kind, this.#history.read({ resolutionMs: limits.sampleMs, ...range }));
  }

  #known(nowMs: number): Progress {
    if (this.#progress && this.#progress.rolledUpToMs <= nowMs) return this.#progress;
    if (this.#progress) {
      // The wall clock was set back. It may be by years, so that it would not catch up; what is done again counts once.
      return this.#progress = { rolledUpToMs: hourStart(nowMs), subjectsDone: 0 };
    }
    // The hour of the newest 5 min samples may not have been finished, so it is done again.
    const newestMs = this.#history.rolledUpToMs() ?? hourStart(this.#history.oldestMs(0) ?? nowMs);
    return this.#progress = { rolledUpToMs: Math.min(newestMs, windowStart(nowMs)), subjectsDone: 0 };
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

function hourStart(atMs: number): number {
  return Math.floor(atMs / hourMs) * hourMs;
}

/** The end of the hour that the time is in. */
function hourEnd(atMs: number): number {
  return hourStart(atMs) + hourMs;
}

/**
 * What became of every request of a round, held against what really ran: load's outcomes and the modules' own
 * notes → here → the round's counts. Pure. The promise it judges: one outcome each, and never a false one.
 */
import type { ErrorCode, MayHaveRun } from "../../lib/errors.ts";

export interface Sent {
  id: string;
  idempotent: boolean;
  /** Wall clock, ms. */
  sentAtMs: number;
  /** Missing: no outcome came, long after the deadline. */
  outcome?: { atMs: number; error?: { code: ErrorCode; mayHaveRun: MayHaveRun } };
}

export interface Verdict {
  sent: number;
  answered: number;
  /** Outcomes other than a reply, by code. */
  errors: Partial<Record<ErrorCode, number>>;
  /** Without any outcome. */
  lost: number;
  /** Not idempotent, and run more than once. */
  doubled: number;
  /** Told a thing that isn't so: a reply without a run, or "it can't have run" of what ran. */
  untrue: number;
  /** Idempotent, admitted, and not answered with a reply. */
  idempotentFailed: number;
  /** The last request that the fault was felt in (failed or far slower than usual) had its outcome this long after it. */
  feltMs: number;
}

/** Slower than this is felt, when work takes some 20 ms. */
const feltAboveMs = 500;

/** `runs`: how often each request ran, by id. `faultAtMs`: wall clock. */
export function judge(
  sent: readonly Sent[],
  runs: ReadonlyMap<string, number>,
  faultAtMs: number,
): Verdict {
  const verdict: Verdict = {
    ...{ sent: sent.length, answered: 0, errors: {}, lost: 0, doubled: 0 },
    ...{ untrue: 0, idempotentFailed: 0, feltMs: 0 },
  };
  for (const { id, idempotent, sentAtMs, outcome } of sent) {
    const ran = runs.get(id) ?? 0;
    if (!idempotent && ran > 1) verdict.doubled++;
    if (!outcome) {
      verdict.lost++;
      continue;
    }
    const { atMs, error } = outcome;
    if (error) {
      verdict.errors[error.code] = (verdict.errors[error.code] ?? 0) + 1;
      if (idempotent && error.code !== "queue_full") verdict.idempotentFailed++;
      if (error.mayHaveRun === "no" && ran > 0) verdict.untrue++;
    } else {
      verdict.answered++;
      if (ran === 0) verdict.untrue++;
    }
    const isFelt = error !== undefined || atMs - sentAtMs > feltAboveMs;
    if (isFelt && atMs > faultAtMs) verdict.feltMs = Math.max(verdict.feltMs, atMs - faultAtMs);
  }
  return verdict;
}

/** The modules' notes, a line per run, as the number of runs by request. */
export function countRuns(text: string): Map<string, number> {
  const runs = new Map<string, number>();
  for (const id of text.split("\n")) if (id !== "") runs.set(id, (runs.get(id) ?? 0) + 1);
  return runs;
}

/**
 * What became of every request of a round, held against what really ran: load's outcomes and the modules' own
 * notes → here → the round's counts. Pure. The promise it judges: one outcome each, and never a false one.
 */
import type { ErrorCode } from "../../lib/errors.ts";
import type { Sent } from "../steady_load.ts";

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
  /** Idempotent, admitted, and not answered with a reply, other than for its deadline. */
  idempotentFailed: number;
  /** The last request that the fault was felt in (failed or far slower than usual) had its outcome this long after it. */
  feltMs: number;
}

/** Slower than this is felt, when work takes some 20 ms. */
const feltAboveMs = 500;
/** What an idempotent request may be told: it was never let in, or there was no time left to run it again. */
const fair: ReadonlySet<ErrorCode> = new Set(["queue_full", "deadline_exceeded"]);

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
      if (idempotent && !fair.has(error.code)) verdict.idempotentFailed++;
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

/** What a fault may do to the requests. */
export interface Bounds {
  /** What may be told; nothing when absent. */
  errors?: readonly ErrorCode[];
  /** At least this share must have a reply. */
  answeredMin: number;
  /** At most this share of those let in may come too late; none when absent. */
  lateMax?: number;
}

/** Fewer prove nothing. */
const sentMin = 50;

/** What of the promise was not kept, in words; nothing when all is well. Pure. */
export function complaints(verdict: Verdict, { errors = [], answeredMin, lateMax = 0 }: Bounds): string[] {
  const { sent, answered, lost, doubled, untrue, idempotentFailed } = verdict;
  const found: string[] = [];
  if (sent < sentMin) found.push(`${sentMin} requests must be sent, ${sent} were`);
  if (answered < answeredMin * sent) {
    found.push(`${Math.ceil(answeredMin * sent)} of ${sent} requests must have a reply, ${answered} have`);
  }
  for (const [what, count] of Object.entries({ lost, doubled, untrue, idempotentFailed })) {
    if (count > 0) found.push(`${what} must be 0, is ${count}`);
  }
  const admitted = sent - (verdict.errors.queue_full ?? 0);
  const late = verdict.errors.deadline_exceeded ?? 0;
  if (late > lateMax * admitted) found.push(`${late} of ${admitted} that were let in came too late`);
  for (const code of Object.keys(verdict.errors) as ErrorCode[]) {
    if (code === "deadline_exceeded" ? lateMax > 0 : errors.includes(code)) continue;
    found.push(`nobody may be told ${code}, ${verdict.errors[code]} were`);
  }
  return found;
}

/** The modules' notes, a line per run, as the number of runs by request. */
export function countRuns(text: string): Map<string, number> {
  const runs = new Map<string, number>();
  for (const id of text.split("\n")) if (id !== "") runs.set(id, (runs.get(id) ?? 0) + 1);
  return runs;
}

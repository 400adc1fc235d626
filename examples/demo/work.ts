/**
 * The demo's work: jobs are sent through the client library, a bounded number at once, and every reply is checked.
 * A job is right when its check does not throw.
 */
import { describeError } from "../../lib/errors.ts";
import type { Sqwish } from "../../client.ts";
import { readBook } from "./book.ts";
import type { Job } from "./job.ts";
import { factorJobs, tileJobs } from "./number_jobs.ts";
import { pictureJobs } from "./picture_jobs.ts";
import { samplePictures } from "./pictures.ts";
import { textJobs } from "./text_jobs.ts";

export interface Outcome {
  endpoint: string;
  totalMs: number;
  /** Missing when the reply was right. */
  problem?: string;
}

/** Long enough for the slowest job at the end of the queue of a slow machine. */
const timeoutMs = 60_000;

/** All jobs, those of different replicaSets mixed as in real use, so that every agent has something to do. */
export async function demoJobs(): Promise<Job[]> {
  const groups = [
    pictureJobs(samplePictures()),
    factorJobs(60),
    tileJobs(2),
    textJobs(await readBook()),
  ];
  const placed = groups.flatMap((jobs) => jobs.map((job, index) => ({ job, at: index / jobs.length })));
  return placed.sort((a, b) => a.at - b.at).map(({ job }) => job);
}

/** Runs all jobs, at most `atOnce` at a time, and tells of each as it ends. Throws only when aborted. */
export async function runJobs(
  sqwish: Sqwish,
  jobs: Job[],
  options: { atOnce: number; signal?: AbortSignal; onOutcome?: (outcome: Outcome) => void },
): Promise<Outcome[]> {
  const waiting = [...jobs];
  const outcomes: Outcome[] = [];
  async function work(): Promise<void> {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      const outcome = await runJob(sqwish, job, options.signal);
      options.signal?.throwIfAborted();
      outcomes.push(outcome);
      options.onOutcome?.(outcome);
    }
  }
  await Promise.all(Array.from({ length: options.atOnce }, work));
  return outcomes;
}

async function runJob(sqwish: Sqwish, job: Job, signal?: AbortSignal): Promise<Outcome> {
  const startedMs = performance.now();
  let totalMs = 0;
  try {
    const reply = await ask(sqwish, job, signal);
    totalMs = performance.now() - startedMs;
    job.check(reply);
    return { endpoint: job.endpoint, totalMs };
  } catch (thrown) {
    totalMs ||= performance.now() - startedMs;
    return { endpoint: job.endpoint, totalMs, problem: describeError(thrown) };
  }
}

async function ask(sqwish: Sqwish, job: Job, signal?: AbortSignal): Promise<unknown> {
  const options = { timeoutMs, signal, headers: job.headers };
  if (!job.stream) return await sqwish.invoke(job.endpoint, job.input, options);
  const parts: unknown[] = [];
  for await (const part of sqwish.stream(job.endpoint, job.input, options)) parts.push(part);
  return parts;
}

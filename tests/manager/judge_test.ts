/** When the manager looks at new revisions, and whom it tells. What it thinks of them is `deployment/judge`'s. */
import assert from "node:assert/strict";
import type { RolloutRecord } from "../../lib/deployment/facts.ts";
import { Traffic } from "../../lib/deployment/traffic.ts";
import { limits } from "../../lib/limits.ts";
import { Judge } from "../../lib/manager/judge.ts";
import { emptyOutcome } from "../../lib/request_outcome.ts";
import type { StoredSet } from "../../lib/store/deployments.ts";
import { specificationOf } from "../store/support.ts";
import type { ComparisonView } from "../../lib/protocol/views.ts";
import { ManualClock } from "../support/manual_clock.ts";

const endpoint = "images/resize";

/** What is stored of rollouts, by when they began; `isFull`: it takes nothing. */
class StoredJudgements {
  readonly byStart = new Map<number, readonly ComparisonView[]>();
  isFull = false;
  tries = 0;
  writes = 0;

  saveJudged(_replicaSet: string, startedAtMs: number, judged: readonly ComparisonView[]): void {
    this.tries++;
    if (this.isFull) throw new Error("database or disk is full");
    this.writes++;
    this.byStart.set(startedAtMs, judged);
  }

  judged(_replicaSet: string, startedAtMs: number): readonly ComparisonView[] {
    return this.byStart.get(startedAtMs) ?? [];
  }

  /** Requests and errors before and after, of each endpoint. */
  counts(startedAtMs = 0): [string, number, number, number, number][] {
    return this.judged("images", startedAtMs).map(({ endpoint, before, after }) => [
      endpoint,
      ...[before.requests, before.errors] as const,
      ...[after.requests, after.errors] as const,
    ]);
  }
}

/** A rollout from revision 1, which has answered enough to be compared with, to 2. */
function watching(
  change: Partial<RolloutRecord> = {},
  history = new StoredJudgements(),
  endpoints: readonly string[] = [endpoint],
) {
  const clock = new ManualClock();
  const traffic = new Traffic();
  const { specification } = specificationOf("images", "");
  const current = { replicaSet: "images", revision: 2, specification, createdAtMs: 0, createdBy: "ada" };
  const set: StoredSet = { name: "images", owner: "api", createdAtMs: 0, current };
  const rollout: RolloutRecord = {
    ...{ replicaSet: "images", fromRevision: 1, toRevision: 2, fallback: 1 },
    ...{ state: "progressing", ready: 0, total: 0, startedAtMs: 0, ...change },
  };
  const heard: string[] = [];
  const judge = new Judge({
    clock,
    traffic,
    sets: () => [set],
    rollout: () => rollout,
    endpoints: () => endpoints,
    isServing: () => true,
    object: (_name, _revision, reason) => void heard.push(reason),
    decided: () => void heard.push("decided"),
    history,
  });
  const answer = (
    revision: number,
    count: number,
    code: "ok" | "module_failed" = "ok",
    of: string = endpoint,
  ) => {
    for (let at = 0; at < count; at++) {
      traffic.observe({ ...emptyOutcome(), endpoint: of, revision, code, runUs: 1000 });
    }
  };
  answer(1, 1000);
  return { clock, judge, set, rollout, heard, answer, history };
}

Deno.test("a rollout is undecided until its first replicas have answered enough, and that is said once", () => {
  const { clock, judge, set, rollout, heard, answer } = watching();
  assert.equal(judge.isUndecided(set, rollout), true);
  clock.advance(4 * limits.judgeEveryMs);
  assert.deepEqual(heard, []);
  answer(2, 200);
  clock.advance(4 * limits.judgeEveryMs);
  assert.deepEqual(heard, ["decided"]);
  assert.equal(judge.isUndecided(set, rollout), false);
  judge.close();
});

for (
  const [what, change] of [
    ["a canary", { step: 0 }],
    ["a paused rollout", { state: "paused" }],
    ["a rollout that was done before the manager's start", { state: "done", endedAtMs: 0 }],
  ] satisfies [string, Partial<RolloutRecord>][]
) {
  Deno.test(`${what} is not undecided, and nobody is told so again and again`, () => {
    const { clock, judge, set, rollout, heard } = watching(change);
    assert.equal(judge.isUndecided(set, rollout), false);
    clock.advance(40 * limits.judgeEveryMs);
    assert.deepEqual(heard, []);
    judge.close();
  });
}

Deno.test("a bad revision is objected to once, with its figures", () => {
  const { clock, judge, heard, answer } = watching();
  // From the first look at a rollout on its requests count.
  clock.advance(limits.judgeEveryMs);
  for (const count of [100, 200]) {
    answer(2, count, "module_failed");
    clock.advance(4 * limits.judgeEveryMs);
  }
  assert.equal(heard.filter((each) => /failed 100 of 100 requests/.test(each)).length, 1);
  judge.close();
});

Deno.test("what a rollout is judged by can be read while it is judged, and only of what has been answered", () => {
  const { clock, judge, rollout, answer } = watching();
  clock.advance(limits.judgeEveryMs);
  assert.deepEqual(judge.figures("images"), []);
  answer(2, 30);
  answer(2, 10, "module_failed");
  const [{ endpoint: about, before, after }] = judge.figures("images");
  assert.deepEqual([about, before.requests, before.errors], [endpoint, 1000, 0]);
  assert.deepEqual([after.requests, after.errors], [40, 10]);
  assert.ok(Math.abs(after.p95Ms! - 1) < 0.02, `${after.p95Ms}`);
  assert.deepEqual(judge.figures("other"), []);
  rollout.state = "failed";
  assert.deepEqual(judge.figures("images"), []);
  judge.close();
});

Deno.test("what a rollout was judged by is stored when it is done and when judging ends, and not in between", () => {
  const { clock, judge, rollout, answer, history } = watching();
  clock.advance(limits.judgeEveryMs);
  answer(2, 40);
  answer(2, 1, "module_failed");
  clock.advance(4 * limits.judgeEveryMs);
  assert.equal(history.writes, 0, "it is under way");
  Object.assign(rollout, { state: "done", endedAtMs: clock.nowMs() });
  clock.advance(limits.judgeEveryMs);
  assert.deepEqual(history.counts(), [[endpoint, 1000, 0, 41, 1]]);
  answer(2, 500);
  clock.advance(limits.judgedAfterMs / 2);
  assert.equal(history.writes, 1);
  // Nobody asks the old revision any more: what was compared with it stays.
  clock.advance(2 * limits.trafficWindowMs - clock.monotonicMs());
  answer(2, 3);
  clock.advance(limits.judgedAfterMs);
  assert.deepEqual(history.counts(), [[endpoint, 1000, 0, 541, 1]]);
  assert.equal(history.writes, 2);
  clock.advance(limits.judgedAfterMs);
  assert.equal(history.writes, 2, "nothing is written of what is over");
  judge.close();
});

Deno.test("a rollout that was undone keeps the figures that it was undone by", () => {
  const { clock, judge, rollout, heard, answer, history } = watching();
  clock.advance(limits.judgeEveryMs);
  answer(2, 100, "module_failed");
  clock.advance(limits.judgeEveryMs);
  assert.match(heard.join(), /failed 100 of 100 requests \(100 %\), 0 of 1000 before/);
  // What still came to it until it was gone is not what it was undone by.
  answer(2, 100);
  Object.assign(rollout, { state: "failed", endedAtMs: clock.nowMs() });
  clock.advance(limits.judgeEveryMs);
  assert.deepEqual(history.counts(), [[endpoint, 1000, 0, 100, 100]]);
  judge.close();
});

Deno.test("a rollout is undone by what it does now, though it had answered more well before", () => {
  const { clock, judge, rollout, heard, answer, history } = watching();
  clock.advance(limits.judgeEveryMs);
  answer(2, 400);
  clock.advance(2 * limits.trafficWindowMs);
  answer(1, 150);
  answer(2, 150, "module_failed");
  clock.advance(limits.judgeEveryMs);
  assert.match(heard.join(), /failed 150 of 150 requests/);
  Object.assign(rollout, { state: "failed", endedAtMs: clock.nowMs() });
  clock.advance(limits.judgeEveryMs);
  assert.deepEqual(history.counts(), [[endpoint, 150, 0, 150, 150]]);
  judge.close();
});

Deno.test("a rollout that another replaced, or whose manager ends, keeps what it was judged by until then", () => {
  const { clock, judge, rollout, answer, history } = watching();
  clock.advance(limits.judgeEveryMs);
  answer(2, 5);
  Object.assign(rollout, { startedAtMs: 7 });
  clock.advance(limits.judgeEveryMs);
  assert.deepEqual(history.counts(0), [[endpoint, 1000, 0, 5, 0]]);
  answer(2, 9);
  judge.close();
  assert.deepEqual(history.counts(7), [[endpoint, 1000, 0, 9, 0]]);
  const next = watching({ startedAtMs: 7 }, history);
  next.clock.advance(limits.judgeEveryMs);
  next.answer(2, 3);
  next.judge.close();
  assert.deepEqual(history.counts(7), [[endpoint, 1000, 0, 9, 0]], "fewer requests say less");
});

Deno.test("of a set with many endpoints the most called are kept, and the one that it was undone by", () => {
  const names = Array.from({ length: 50 }, (_, at) => `images/f${at}`);
  const { clock, judge, rollout, answer, history } = watching({}, new StoredJudgements(), names);
  clock.advance(limits.judgeEveryMs);
  answer(1, 1000, "ok", "images/f0");
  answer(2, 60, "module_failed", "images/f0");
  names.slice(1).forEach((name, at) => answer(2, 100 + at, "ok", name));
  clock.advance(limits.judgeEveryMs);
  Object.assign(rollout, { state: "failed", endedAtMs: clock.nowMs() });
  clock.advance(limits.judgeEveryMs);
  const kept = history.counts().map(([name]) => name);
  assert.equal(kept.length, limits.comparisonsKept);
  assert.deepEqual(kept.slice(0, 3), ["images/f0", "images/f49", "images/f48"]);
  judge.close();
});

Deno.test("a full disk costs no figure: what a rollout was judged by is stored once there is room", () => {
  const { clock, judge, rollout, answer, history } = watching();
  history.isFull = true;
  clock.advance(limits.judgeEveryMs);
  answer(2, 40);
  Object.assign(rollout, { state: "failed", endedAtMs: clock.nowMs() });
  clock.advance(60_000);
  assert.deepEqual(history.counts(), []);
  assert.ok(history.tries <= 1 + 60_000 / limits.unsavedRetryMs, `it was asked ${history.tries} times`);
  history.isFull = false;
  clock.advance(10_000);
  assert.deepEqual(history.counts(), [[endpoint, 1000, 0, 40, 0]]);
  judge.close();
});

Deno.test("what a full disk does not take is let go in the end", () => {
  const { clock, judge, rollout, answer, history } = watching();
  history.isFull = true;
  clock.advance(limits.judgeEveryMs);
  answer(2, 40);
  Object.assign(rollout, { state: "failed", endedAtMs: clock.nowMs() });
  clock.advance(limits.judgedAfterMs + 10_000);
  history.isFull = false;
  clock.advance(10_000);
  assert.deepEqual(history.counts(), []);
  judge.close();
});

/** When the manager looks at new revisions, and whom it tells. What it thinks of them is `deployment/judge`'s. */
import assert from "node:assert/strict";
import type { RolloutRecord } from "../../lib/deployment/facts.ts";
import { Traffic } from "../../lib/deployment/traffic.ts";
import { limits } from "../../lib/limits.ts";
import { Judge } from "../../lib/manager/judge.ts";
import { emptyOutcome } from "../../lib/request_outcome.ts";
import type { StoredSet } from "../../lib/store/deployments.ts";
import { specificationOf } from "../store/support.ts";
import { ManualClock } from "../support/manual_clock.ts";

const endpoint = "images/resize";

/** A rollout from revision 1, which has answered enough to be compared with, to 2. */
function watching(change: Partial<RolloutRecord> = {}) {
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
    endpoints: () => [endpoint],
    isServing: () => true,
    object: (_name, _revision, reason) => void heard.push(reason),
    decided: () => void heard.push("decided"),
  });
  const answer = (revision: number, count: number, code: "ok" | "module_failed" = "ok") => {
    for (let at = 0; at < count; at++) {
      traffic.observe({ ...emptyOutcome(), endpoint, revision, code, runUs: 1000 });
    }
  };
  answer(1, 1000);
  return { clock, judge, set, rollout, heard, answer };
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
  answer(2, 100, "module_failed");
  clock.advance(4 * limits.judgeEveryMs);
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

import assert from "node:assert/strict";
import {
  chooseIdle,
  chooseRunner,
  retryDelayMs,
  type RunnerFacts,
  runnerTimes,
  shouldGrow,
  shouldKill,
  shouldTakeBack,
} from "../../lib/hosting/replica_policy.ts";

function runner(facts: Partial<RunnerFacts> = {}): RunnerFacts {
  return { state: "ready", full: false, outstanding: 0, stalledMs: 0, idleMs: 0, ...facts };
}

Deno.test("`chooseRunner()` picks the least busy ready runner and never a stalled one", () => {
  assert.equal(chooseRunner([runner({ outstanding: 3 }), runner({ outstanding: 1 })]), 1);
  assert.equal(chooseRunner([runner({ stalledMs: runnerTimes.stalledMs }), runner({ outstanding: 9 })]), 1);
  assert.equal(chooseRunner([runner({ state: "loading" }), runner({ state: "stopping" })]), -1);
});

Deno.test("`shouldGrow()` wants waiting work, no free runner, none on its way and a core to spare", () => {
  const stalled = runner({ stalledMs: 60, outstanding: 1 });
  assert.equal(shouldGrow([stalled], 1, 2), true);
  assert.equal(shouldGrow([stalled], 0, 2), false);
  assert.equal(shouldGrow([stalled], 1, 1), false);
  assert.equal(shouldGrow([stalled, runner()], 1, 3), false);
  assert.equal(shouldGrow([stalled, runner({ state: "loading" })], 1, 3), false);
  assert.equal(shouldGrow([stalled, runner({ state: "stopping" })], 1, 2), true);
});

Deno.test("`shouldTakeBack()` takes work from a stalled runner only when there is or will be another", () => {
  const stalled = runner({ stalledMs: 60, outstanding: 4 });
  assert.equal(shouldTakeBack([stalled, runner()], 0, 2), true);
  assert.equal(shouldTakeBack([stalled], 0, 2), true);
  assert.equal(shouldTakeBack([stalled], 0, 1), false);
  assert.equal(shouldTakeBack([stalled, stalled], 0, 2), false);
  assert.equal(shouldTakeBack([stalled, runner({ state: "loading" })], 0, 2), true);
  assert.equal(shouldTakeBack([runner({ outstanding: 4 }), runner()], 0, 2), false);
});

Deno.test("`shouldKill()` ends the runner of the request that started last at its deadline, of another one later", () => {
  const late = { lateMs: 300, startedLast: true, lastLateMs: 300 };
  assert.equal(shouldKill(late, 300), true);
  assert.equal(shouldKill(late, 100), false);
  assert.equal(shouldKill({ ...late, lateMs: 100 }, 5000), false);
  const innocent = { lateMs: 300, startedLast: false, lastLateMs: -9000 };
  assert.equal(shouldKill(innocent, 5000), false);
  assert.equal(shouldKill({ ...innocent, lateMs: runnerTimes.innocentGraceMs }, 5000), true);
  assert.equal(shouldKill({ ...innocent, lastLateMs: 400 }, 5000), true);
});

Deno.test("`chooseIdle()` ends a runner without work for a minute, but never the last", () => {
  const idle = runner({ idleMs: runnerTimes.idleMs });
  assert.equal(chooseIdle([idle]), -1);
  assert.equal(chooseIdle([runner(), idle]), 1);
  assert.equal(chooseIdle([runner(), runner({ idleMs: runnerTimes.idleMs - 1 })]), -1);
  assert.equal(chooseIdle([idle, runner({ state: "loading" })]), -1);
});

Deno.test("`retryDelayMs()` doubles from half a second to thirty", () => {
  assert.deepEqual([1, 2, 3, 6, 7, 50].map(retryDelayMs), [500, 1000, 2000, 16_000, 30_000, 30_000]);
});

import assert from "node:assert/strict";
import { countRuns, judge, type Sent } from "../../bench/chaos/ledger.ts";
import type { ErrorCode, MayHaveRun } from "../../lib/errors.ts";

/** A request sent at 1000 and answered 20 ms later. */
function sent(id: string, more: Partial<Sent> = {}): Sent {
  return { id, idempotent: false, sentAtMs: 1000, outcome: { atMs: 1020 }, ...more };
}

function failed(code: ErrorCode, mayHaveRun: MayHaveRun, atMs = 1020): Sent["outcome"] {
  return { atMs, error: { code, mayHaveRun } };
}

Deno.test("`judge()` finds nothing where all is well", () => {
  const requests = [
    sent("a"),
    sent("b", { idempotent: true }),
    sent("c", { outcome: failed("agent_lost", "maybe") }),
  ];
  const verdict = judge(requests, countRuns("a\nb\nb\nc\n"), 2000);
  assert.deepEqual(verdict, {
    ...{ sent: 3, answered: 2, errors: { agent_lost: 1 }, lost: 0, doubled: 0, untrue: 0 },
    ...{ idempotentFailed: 0, feltMs: 0 },
  });
});

Deno.test("`judge()` finds what has no outcome, what ran twice, and what was told falsely", () => {
  assert.equal(judge([sent("a", { outcome: undefined })], countRuns("a\n"), 0).lost, 1);
  assert.equal(judge([sent("a")], countRuns("a\na\n"), 0).doubled, 1);
  assert.equal(judge([sent("a")], countRuns(""), 0).untrue, 1, "a reply of what never ran");
  const refused = sent("a", { outcome: failed("no_ready_replica", "no") });
  assert.equal(judge([refused], countRuns("a\n"), 0).untrue, 1, "it can't have run, and has");
  assert.equal(judge([refused], countRuns(""), 0).untrue, 0);
});

Deno.test("`judge()` counts idempotent requests that were let in and not answered", () => {
  const lost = sent("a", { idempotent: true, outcome: failed("agent_lost", "maybe") });
  const full = sent("b", { idempotent: true, outcome: failed("queue_full", "no") });
  assert.equal(judge([lost, full], countRuns(""), 0).idempotentFailed, 1);
});

Deno.test("`judge()` tells how long a fault was felt, by what failed or was slow after it", () => {
  const slow = sent("a", { outcome: { atMs: 1900 } });
  const late = sent("b", { outcome: failed("agent_lost", "maybe", 4000) });
  assert.equal(judge([sent("c"), slow], countRuns("a\nc\n"), 900).feltMs, 1000);
  assert.equal(judge([slow, late], countRuns("a\nb\n"), 1000).feltMs, 3000);
  assert.equal(judge([sent("c")], countRuns("c\n"), 900).feltMs, 0, "20 ms is as usual");
});

import assert from "node:assert/strict";
import { complaints, countRuns, judge } from "../../bench/chaos/ledger.ts";
import type { Sent } from "../../bench/steady_load.ts";
import type { ErrorCode, MayHaveRun } from "../../lib/errors.ts";

/** A request sent at 1000 and answered 20 ms later. */
function sent(id: string, more: Partial<Sent> = {}): Sent {
  return { id, idempotent: false, sentAtMs: 1000, outcome: { atMs: 1020 }, ...more };
}

function failed(code: ErrorCode, mayHaveRun: MayHaveRun, atMs = 1020): Sent["outcome"] {
  return { atMs, error: { code, mayHaveRun, message: code } };
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

Deno.test("`complaints()` says what was not kept, and nothing when all was", () => {
  const requests = (count: number) => Array.from({ length: count }, (_, index) => sent(`${index}`));
  const runs = countRuns(requests(101).map(({ id }) => id).join("\n"));
  const verdict = judge(requests(100), runs, 0);
  assert.deepEqual(complaints(verdict, { answeredMin: 1 }), []);
  assert.match(
    complaints(judge(requests(10), runs, 0), { answeredMin: 1 })[0],
    /50 requests must be sent, 10 were/,
  );
  assert.match(complaints({ ...verdict, answered: 94 }, { answeredMin: 0.95 })[0], /95 of 100 .*, 94 have/);
  assert.match(complaints({ ...verdict, doubled: 1 }, { answeredMin: 1 })[0], /doubled must be 0, is 1/);
  const lost = { ...verdict, errors: { agent_lost: 2 } };
  assert.match(complaints(lost, { answeredMin: 1 })[0], /nobody may be told agent_lost, 2 were/);
  assert.deepEqual(complaints(lost, { answeredMin: 1, errors: ["agent_lost"] }), []);
});

Deno.test("`complaints()` bounds what came too late, by what was let in", () => {
  const verdict = { ...judge([], new Map(), 0), sent: 300, answered: 99 };
  const late = { ...verdict, errors: { queue_full: 200, deadline_exceeded: 1 } };
  const bounds = { answeredMin: 0.3, errors: ["queue_full"] } as const;
  assert.deepEqual(complaints(late, { ...bounds, lateMax: 0.01 }), []);
  assert.equal(complaints(late, bounds).length, 2);
  const later = { ...late, errors: { queue_full: 200, deadline_exceeded: 2 } };
  assert.match(complaints(later, { ...bounds, lateMax: 0.01 })[0], /2 of 100 that were let in came too late/);
});

/** How many replicas there are, and the record of it: at each change, once a minute, and never of what was not seen. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { type CountedFacts, countReplicas, ReplicaCounts } from "../../lib/manager/replica_counts.ts";
import type { ReplicaReport } from "../../lib/protocol/messages.ts";
import { openStore } from "../../lib/store/store.ts";
import type { StoredSet } from "../../lib/store/deployments.ts";
import { specificationOf } from "../store/support.ts";
import { ManualClock } from "../support/manual_clock.ts";

function setOf(replicas: number | "all", name = "images"): StoredSet {
  const { specification } = specificationOf(name, "", { replicas });
  const current = { replicaSet: name, revision: 2, specification, createdAtMs: 0, createdBy: "ada" };
  return { name, owner: "api", createdAtMs: 0, current };
}

function agentOf(name: string, reports: [state: string, revision: number][], health = "ready") {
  return {
    name,
    health,
    reports: reports.map(([state, revision]) =>
      ({ replicaSet: "images", revision, state, handle: 1, slots: 1 }) as unknown as ReplicaReport
    ),
  } as CountedFacts["agents"][number];
}

const isAssigned = [{ replicaSet: "images", revision: 2 }];

Deno.test("an agent counts once, if it is there and shall run what it is ready with", () => {
  const facts = {
    agents: [
      agentOf("both", [["ready", 1], ["ready", 2]]),
      agentOf("loading", [["loading", 2]]),
      agentOf("stopping", [["ready", 1]]),
      agentOf("away", [["ready", 2]], "lost"),
      agentOf("silent", [["ready", 2]], "suspect"),
      agentOf("other", [["ready", 2]]),
    ],
    assignments: (agent: string) => agent === "other" ? [] : isAssigned,
  };
  assert.deepEqual(countReplicas({ ...facts, sets: [setOf(3)] }).get("images"), { ready: 2, wanted: 3 });
  const all = countReplicas({ ...facts, sets: [setOf("all"), setOf("all", "texts")] });
  assert.deepEqual([...all], [["images", { ready: 2, wanted: 5 }], ["texts", { ready: 0, wanted: 0 }]]);
});

/** A record over a real store; `isReady` is what its one agent says of its one replica. */
function recording() {
  const clock = new ManualClock();
  const store = openStore({ folder: null });
  const now = { isReady: false, sets: [setOf(1)], looks: 0, isFull: false, writes: 0, signMs: 0 };
  const failures: unknown[] = [];
  const open = () =>
    new ReplicaCounts({
      clock,
      store: {
        at: (set, atMs) => store.replicaCounts.at(set, atMs),
        sets: () => store.replicaCounts.sets(),
        append(rows) {
          if (now.isFull) throw new Error("database or disk is full");
          if (rows.length > 0) now.writes++;
          store.replicaCounts.append(rows);
        },
      },
      facts() {
        now.looks++;
        const agents = [agentOf("pi-1", [[now.isReady ? "ready" : "loading", 2]])];
        return { agents, sets: now.sets, assignments: () => isAssigned };
      },
      lastSignMs: () => now.signMs,
      onWriteFailure: (cause) => void failures.push(cause),
    });
  const startMs = clock.nowMs();
  const at = (counts: ReplicaCounts, ms: number) => counts.at("images", startMs + ms);
  return { clock, store, now, open, at, failures, startMs };
}

Deno.test("what changed is told at once and written once a minute; while nothing changes nothing is done", () => {
  const { clock, store, now, open, at } = recording();
  const counts = open();
  clock.advance(20_000);
  now.isReady = true;
  counts.touch();
  clock.advance(20_000);
  const expected = [{ ready: 0, wanted: 1 }, { ready: 0, wanted: 1 }, { ready: 1, wanted: 1 }];
  assert.deepEqual([1000, 20_000, 21_000].map((ms) => at(counts, ms)), expected);
  assert.equal(at(counts, 999), undefined, "nobody had looked");
  assert.equal(now.writes, 0);
  clock.advance(40_000);
  assert.deepEqual([1000, 20_000, 21_000].map((ms) => at(counts, ms)), expected);
  assert.deepEqual([now.writes, now.looks], [1, 2]);
  counts.touch();
  clock.advance(3600_000);
  assert.deepEqual([now.writes, now.looks], [1, 3]);
  counts.close();
  store.close();
});

Deno.test("what changes back within the time of a sample leaves no row", () => {
  const { clock, store, now, open, at } = recording();
  const counts = open();
  clock.advance(60_000);
  for (now.isReady of [true, false, true, false]) {
    counts.touch();
    clock.advance(1000);
  }
  clock.advance(60_000);
  assert.equal(now.writes, 1);
  assert.deepEqual(at(counts, 90_000), { ready: 0, wanted: 1 });
  counts.close();
  store.close();
});

Deno.test("nothing is told of a set that is gone, nor of the time between two managers", () => {
  const { clock, store, now, open, at } = recording();
  const first = open();
  clock.advance(30_000);
  first.close();
  clock.advance(60_000);
  const second = open();
  clock.advance(30_000);
  const known = [20_000, 30_000, 89_000, 91_000].map((ms) => at(second, ms)?.wanted);
  assert.deepEqual(known, [1, undefined, undefined, 1]);
  now.sets = [];
  second.touch();
  clock.advance(90_000);
  assert.deepEqual([119_000, 125_000].map((ms) => at(second, ms)?.wanted), [1, undefined]);
  second.close();
  store.close();
});

Deno.test("of a manager that was killed nothing is told after its last sign of life", () => {
  const { clock, store, now, open, at, startMs } = recording();
  open();
  clock.advance(limits.sampleFlushMs);
  // Its timers go on in this test, but it has nothing more to say.
  clock.advance(60_000);
  now.signMs = startMs + 90_000;
  const next = open();
  clock.advance(70_000);
  assert.deepEqual([89_000, 90_000, 119_000, 121_000].map((ms) => at(next, ms)?.wanted), [
    1,
    undefined,
    undefined,
    1,
  ]);
  next.close();
  store.close();
});

Deno.test("a full disk costs no count", () => {
  const { clock, store, now, open, at, failures } = recording();
  const counts = open();
  now.isFull = true;
  clock.advance(90_000);
  now.isReady = true;
  counts.touch();
  clock.advance(60_000);
  assert.equal(failures.length, 2);
  assert.deepEqual([50_000, 100_000].map((ms) => at(counts, ms)?.ready), [0, 1]);
  now.isFull = false;
  clock.advance(60_000);
  assert.deepEqual([50_000, 100_000].map((ms) => at(counts, ms)?.ready), [0, 1]);
  assert.equal(now.writes, 1);
  counts.close();
  store.close();
});

/** How many replicas sets had: what holds at a time, and what goes as it grows old. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { Database } from "../../lib/store/database.ts";
import { migrate } from "../../lib/store/migrate.ts";
import { ReplicaCountStore } from "../../lib/store/replica_counts.ts";

const nowMs = 1_800_000_000_000;

function withCounts(keptMax: number, work: (counts: ReplicaCountStore) => void): void {
  const database = new Database(":memory:");
  try {
    migrate(database, "memory");
    work(new ReplicaCountStore(database, keptMax));
  } finally {
    database.close();
  }
}

function row(agoMs: number, ready: number | null, replicaSet = "images") {
  return { atMs: nowMs - agoMs, replicaSet, count: ready === null ? null : { ready, wanted: 2 } };
}

Deno.test("a row holds from its time until the set's next one", () => {
  withCounts(100, (counts) => {
    counts.append([row(50, 0), row(50, 7, "texts"), row(30, 2), row(10, null)]);
    const readyAt = (agoMs: number) => counts.at("images", nowMs - agoMs)?.count?.ready;
    assert.deepEqual([51, 50, 31, 30, 11, 10, 0].map(readyAt), [undefined, 0, 0, 2, 2, undefined, undefined]);
    assert.deepEqual(counts.at("images", nowMs), row(10, null), "since then nothing is known");
    assert.equal(counts.at("texts", nowMs)?.count?.ready, 7);
    assert.equal(counts.at("maths", nowMs), undefined);
    assert.deepEqual(counts.sets().sort(), ["images", "texts"]);
  });
});

Deno.test("of what is older than 30 days only what still held then is kept, and nothing of what had gone", () => {
  withCounts(100, (counts) => {
    const keptMs = limits.rolledUpKeptMs;
    counts.append([row(keptMs + 30, 1), row(keptMs + 20, 2), row(keptMs + 10, 1, "gone")]);
    counts.append([row(keptMs + 5, null, "gone"), row(keptMs - 10, 0)]);
    assert.equal(counts.prune(nowMs), 3);
    assert.equal(counts.at("images", nowMs - keptMs + 5)?.count?.ready, 2);
    assert.equal(counts.at("images", nowMs)?.count?.ready, 0);
    assert.deepEqual(counts.sets(), ["images"]);
    assert.equal(counts.prune(nowMs), 0);
  });
});

Deno.test("however often sets change, no more than the newest rows are kept", () => {
  withCounts(100, (counts) => {
    for (let at = 0; at < 1000; at++) counts.append([row(1000 - at, at)]);
    assert.equal(counts.at("images", nowMs - 100)?.count?.ready, 900);
    assert.equal(counts.at("images", nowMs - 101), undefined);
    assert.equal(counts.at("images", nowMs)?.count?.ready, 999);
  });
});

/** Every rollout is kept by the time it began, also when it is over, replaced, or its set is gone. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { limits } from "../../lib/limits.ts";
import { Database } from "../../lib/store/database.ts";
import { DeploymentStore, type RolloutRecord } from "../../lib/store/deployments.ts";
import { migrate } from "../../lib/store/migrate.ts";
import { migrations } from "../../lib/store/migrations/all.ts";
import { rolloutHistory } from "../../lib/store/migrations/0005_rollout_history.ts";
import { RolloutHistory } from "../../lib/store/rollout_history.ts";
import { specificationOf } from "./support.ts";

const nowMs = 1_800_000_000_000;

function withStore(work: (deployments: DeploymentStore, database: Database) => void): void {
  const database = new Database(":memory:");
  try {
    migrate(database, "memory");
    work(new DeploymentStore(database), database);
  } finally {
    database.close();
  }
}

function deploy(deployments: DeploymentStore, name: string, version: string): number {
  const { specification, files } = specificationOf(name, version, { version });
  return deployments.addRevision(specification, files, { owner: "api", createdBy: "ada", nowMs }).revision;
}

function rollout(change: Partial<RolloutRecord> = {}): RolloutRecord {
  return {
    ...{ replicaSet: "images", fromRevision: 0, toRevision: 1, state: "progressing", startedAtMs: nowMs },
    ...change,
  };
}

Deno.test("a rollout is one entry from its start to its end, with the version it brought", () => {
  withStore((deployments) => {
    deploy(deployments, "images", "1.0.0");
    deployments.saveRollout(rollout());
    deployments.saveRollout(rollout({ state: "failed", reason: "not ready", endedAtMs: nowMs + 5 }));
    assert.deepEqual(deployments.rollouts.list({ limit: 9 }), [{
      ...{ replicaSet: "images", startedAtMs: nowMs, fromRevision: 0, toRevision: 1, version: "1.0.0" },
      ...{ state: "failed", reason: "not ready", endedAtMs: nowMs + 5 },
    }]);
  });
});

Deno.test("the newest comes first, and the one it overtook is replaced, also when the clock was set back", () => {
  withStore((deployments) => {
    for (const version of ["1.0.0", "1.1.0", "1.2.0"]) deploy(deployments, "images", version);
    deploy(deployments, "texts", "1.0.0");
    deployments.saveRollout(rollout({ replicaSet: "texts", startedAtMs: nowMs + 1 }));
    deployments.saveRollout(rollout());
    deployments.saveRollout(rollout({ toRevision: 2, startedAtMs: nowMs + 10, state: "paused", step: 0 }));
    deployments.saveRollout(rollout({ toRevision: 3, startedAtMs: nowMs - 10 }));
    const listed = deployments.rollouts.list({ replicaSet: "images", limit: 9 });
    assert.deepEqual(listed.map(({ toRevision, state, step }) => [toRevision, state, step]), [
      [2, "replaced", undefined],
      [1, "replaced", undefined],
      [3, "progressing", undefined],
    ]);
    assert.equal(deployments.rollouts.list({ limit: 1 })[0].startedAtMs, nowMs + 10);
    assert.equal(deployments.rollouts.list({ replicaSet: "texts", limit: 9 })[0].state, "progressing");
  });
});

Deno.test("what a rollout was judged by stays with it, and no later word on it takes that away", () => {
  withStore((deployments) => {
    deploy(deployments, "images", "1.0.0");
    deployments.saveRollout(rollout());
    const { rollouts: history } = deployments;
    assert.deepEqual(history.judged("images", nowMs), []);
    assert.equal("judged" in history.list({ limit: 1 })[0], false);
    const before = { requests: 200, errors: 1, p95Ms: 3.25 };
    const judged = [{ endpoint: "images/resize", before, after: { requests: 30, errors: 30 } }];
    history.saveJudged("images", nowMs, judged);
    history.saveJudged("images", nowMs + 1, judged);
    deployments.saveRollout(rollout({ state: "failed", reason: "bad", endedAtMs: nowMs + 5 }));
    deployments.deleteSet("images", nowMs + 9);
    assert.deepEqual(history.judged("images", nowMs), judged);
    const listed = history.list({ limit: 9 });
    assert.deepEqual(listed.map((each) => [each.state, each.judged]), [["failed", judged]]);
  });
});

Deno.test("a deleted set's rollouts stay, and none of them is under way", () => {
  withStore((deployments) => {
    deploy(deployments, "images", "1.0.0");
    deployments.saveRollout(rollout());
    deployments.deleteSet("images", nowMs + 5);
    const [{ state, reason, endedAtMs }] = deployments.rollouts.list({ limit: 9 });
    assert.deepEqual([state, reason, endedAtMs], ["replaced", "The replicaSet was deleted", nowMs + 5]);
  });
});

Deno.test("a set's oldest go when there are too many, and all but the newest when they are too old", () => {
  withStore((deployments, database) => {
    deploy(deployments, "images", "1.0.0");
    deploy(deployments, "texts", "1.0.0");
    deployments.saveRollout(rollout({ replicaSet: "texts", state: "done" }));
    const history = new RolloutHistory(database, 3);
    for (let index = 0; index < 5; index++) {
      history.save(rollout({ startedAtMs: nowMs + index, state: "done" }));
    }
    const starts = () =>
      history.list({ replicaSet: "images", limit: 9 }).map(({ startedAtMs }) => startedAtMs - nowMs);
    assert.deepEqual(starts(), [4, 3, 2]);
    history.save(rollout({ startedAtMs: nowMs + limits.eventsKeptMs + 4 }));
    assert.deepEqual(starts(), [limits.eventsKeptMs + 4, 4]);
    assert.equal(history.list({ replicaSet: "texts", limit: 9 }).length, 1, "it is the set's newest");
  });
});

Deno.test("what a set's rollout is now is kept, also when the clock was set back behind all that are", () => {
  withStore((deployments, database) => {
    deploy(deployments, "images", "1.0.0");
    const history = new RolloutHistory(database, 3);
    for (let index = 0; index < 3; index++) {
      history.save(rollout({ startedAtMs: nowMs + index, state: "done" }));
    }
    const current = rollout({ startedAtMs: nowMs - 10 });
    deployments.saveRollout(current);
    history.save(current);
    assert.deepEqual(history.list({ limit: 9 }).map(({ startedAtMs }) => startedAtMs - nowMs), [
      2,
      1,
      0,
      -10,
    ]);
  });
});

Deno.test("a database of before is taken over with the rollouts it knows", () => {
  using sqlite = new DatabaseSync(":memory:");
  for (const migration of migrations.slice(0, migrations.indexOf(rolloutHistory))) sqlite.exec(migration);
  sqlite.exec(`
    INSERT INTO replica_sets (name, owner, current_revision, good_revision, created_at_ms) VALUES ('a', 'api', 2, 1, 1);
    INSERT INTO revisions VALUES ('a', 2, '1.1.0', 1, 'ada', '{}');
    INSERT INTO rollouts (replica_set, from_revision, to_revision, state, started_at_ms) VALUES ('a', 1, 2, 'paused', 5);`);
  sqlite.exec(rolloutHistory);
  const rows = sqlite.prepare("SELECT replica_set, to_revision, version, state FROM rollout_history").all();
  assert.deepEqual(rows.map((row) => ({ ...row })), [
    { replica_set: "a", to_revision: 2, version: "1.1.0", state: "paused" },
  ]);
});

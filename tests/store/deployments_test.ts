import assert from "node:assert/strict";
import type { DeploymentStore } from "../../lib/store/deployments.ts";
import { openStore } from "../../lib/store/store.ts";
import { specificationOf } from "./support.ts";

const nowMs = 1_800_000_000_000;
const byApi = { owner: "api", createdBy: "mia", nowMs } as const;

function withDeployments(work: (deployments: DeploymentStore) => void): void {
  const store = openStore({ folder: null });
  try {
    work(store.deployments);
  } finally {
    store.close();
  }
}

/** Deploys `source` as the next revision of `name`; returns its module's SHA-256. */
function deploy(deployments: DeploymentStore, name: string, source: string): string {
  const { specification, files, sha256 } = specificationOf(name, source);
  deployments.addRevision(specification, files, byApi);
  return sha256;
}

Deno.test("`addRevision()` stores a set that `loadAll()` returns whole", () => {
  withDeployments((deployments) => {
    const { specification, files, sha256 } = specificationOf("images", "export function resize() {}", {
      placement: { zone: ["attic", "shed"] },
      replicas: "all",
    });
    const revision = deployments.addRevision(specification, files, byApi);
    assert.deepEqual(revision, {
      replicaSet: "images",
      revision: 1,
      createdAtMs: nowMs,
      createdBy: "mia",
      specification,
    });
    assert.deepEqual(deployments.loadAll(), [{
      name: "images",
      owner: "api",
      current: revision,
      createdAtMs: nowMs,
    }]);
    assert.deepEqual(new Uint8Array(deployments.module(sha256)!), files.get(sha256));
  });
});

Deno.test("`addRevision()` stores nothing when a module's bytes are missing", () => {
  withDeployments((deployments) => {
    const { specification } = specificationOf("images", "one");
    assert.throws(() => deployments.addRevision(specification, new Map(), byApi), {
      code: "internal",
      message: /those of modules\/main\.ts are missing/,
    });
    assert.deepEqual(deployments.loadAll(), []);
    const sha256 = deploy(deployments, "images", "one");
    assert.equal(deployments.find("images")?.current.revision, 1);
    assert.ok(deployments.module(sha256));
  });
});

Deno.test("`addRevision()` needs only the modules that aren't stored yet", () => {
  withDeployments((deployments) => {
    deploy(deployments, "images", "one");
    const { specification } = specificationOf("images", "one", { version: "1.0.1" });
    assert.equal(deployments.addRevision(specification, new Map(), byApi).revision, 2);
  });
});

Deno.test("the newest ten revisions are kept, and beyond them the good one and what a rollout moves between", () => {
  withDeployments((deployments) => {
    const shas = ["0", "1", "2", "3"].map((source) => deploy(deployments, "images", source));
    deployments.setGood("images", 1);
    const rollout = { replicaSet: "images", fromRevision: 3, toRevision: 4, startedAtMs: nowMs } as const;
    deployments.saveRollout({ ...rollout, state: "progressing" });
    for (let at = 4; at < 16; at++) deploy(deployments, "images", String(at));
    const kept = deployments.revisions("images").map((revision) => revision.revision);
    assert.deepEqual(kept, [16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 4, 3, 1]);
    assert.deepEqual(shas.map((sha256) => deployments.module(sha256) !== undefined), [
      true,
      false,
      true,
      true,
    ]);
    assert.equal(deployments.find("images")?.good?.revision, 1);
  });
});

Deno.test("a module that two sets share stays until both are gone", () => {
  withDeployments((deployments) => {
    const sha256 = deploy(deployments, "images", "shared");
    deploy(deployments, "thumbnails", "shared");
    assert.equal(deployments.deleteSet("images", nowMs), true);
    assert.ok(deployments.module(sha256));
    assert.equal(deployments.deleteSet("thumbnails", nowMs), true);
    assert.equal(deployments.module(sha256), undefined);
    assert.equal(deployments.deleteSet("thumbnails", nowMs), false);
  });
});

Deno.test("a set deployed again after its deletion goes on counting", () => {
  withDeployments((deployments) => {
    deploy(deployments, "images", "one");
    deploy(deployments, "images", "two");
    deployments.saveRollout({
      replicaSet: "images",
      fromRevision: 1,
      toRevision: 2,
      state: "progressing",
      startedAtMs: nowMs,
    });
    deployments.deleteSet("images", nowMs);
    deploy(deployments, "images", "three");
    const set = deployments.find("images");
    assert.equal(set?.current.revision, 3);
    assert.equal(set?.rollout, undefined);
    assert.equal(set?.good, undefined);
  });
});

Deno.test("`saveRollout()` keeps the newest rollout with and without its end", () => {
  withDeployments((deployments) => {
    deploy(deployments, "images", "one");
    const started = {
      replicaSet: "images",
      fromRevision: 0,
      toRevision: 1,
      state: "progressing",
      startedAtMs: nowMs,
    } as const;
    deployments.saveRollout(started);
    assert.deepEqual(deployments.find("images")?.rollout, started);
    const failed = { ...started, state: "failed", reason: "not ready", endedAtMs: nowMs + 5 } as const;
    deployments.saveRollout(failed);
    assert.deepEqual(deployments.find("images")?.rollout, failed);
    deployments.saveRollout(started);
    assert.deepEqual(deployments.find("images")?.rollout, started);
  });
});

Deno.test("a scale survives a new revision, unless that one changes its own number", () => {
  withDeployments((deployments) => {
    deploy(deployments, "images", "one");
    deployments.setReplicasOverride("images", 5);
    deploy(deployments, "images", "two");
    assert.equal(deployments.find("images")?.replicasOverride, 5);
    const { specification, files } = specificationOf("images", "three", { replicas: 2 });
    deployments.addRevision(specification, files, byApi);
    assert.equal(deployments.find("images")?.replicasOverride, undefined);
    deployments.setReplicasOverride("images", "all");
    assert.equal(deployments.find("images")?.replicasOverride, "all");
    deployments.setReplicasOverride("images", null);
    assert.equal(deployments.find("images")?.replicasOverride, undefined);
  });
});

Deno.test("`setCurrent()` goes back to a kept revision and names the kept ones otherwise", () => {
  withDeployments((deployments) => {
    deploy(deployments, "images", "one");
    deploy(deployments, "images", "two");
    assert.equal(deployments.setCurrent("images", 1).revision, 1);
    assert.equal(deployments.find("images")?.current.revision, 1);
    assert.throws(() => deployments.setCurrent("images", 7), {
      code: "not_found",
      message: "There is no revision 7 of images; kept are 2, 1",
    });
  });
});

Deno.test("changes to an unknown set are refused by name", () => {
  withDeployments((deployments) => {
    const refused = { code: "not_found", message: "There is no replicaSet named ghosts" };
    assert.throws(() => deployments.setReplicasOverride("ghosts", 1), refused);
    assert.throws(() => deployments.setGood("ghosts", 1), refused);
    assert.throws(() => deployments.setOwner("ghosts", "file"), refused);
    assert.throws(() =>
      deployments.saveRollout({
        replicaSet: "ghosts",
        fromRevision: 0,
        toRevision: 1,
        state: "done",
        startedAtMs: nowMs,
      }), refused);
    assert.deepEqual(deployments.revisions("ghosts"), []);
  });
});

Deno.test("`setOwner()` hands a set over", () => {
  withDeployments((deployments) => {
    deploy(deployments, "images", "one");
    deployments.setOwner("images", "file");
    assert.equal(deployments.find("images")?.owner, "file");
  });
});

/** What a deployment of bare modules leaves as it is. */
import assert from "node:assert/strict";
import type { DeployRequest } from "../../lib/protocol/deploy_views.ts";
import { openRig } from "./rig.ts";

const modules = [{ path: "resize.ts", entry: true, base64: btoa("export function resize() {}") }];
const settings = {
  ...{ env: { QUALITY: "80" }, memoryMb: 64, timeoutMs: 5000, concurrency: 2, cores: 0.5, idempotent: true },
  ...{ placement: { arch: "aarch64" }, spread: "zone", permissions: { net: ["example.com"] } },
  ...{ queue: { max: 7 }, rollout: { minReadyMs: 0, rollback: false, breaking: "allow" } },
};

async function rigWithSet() {
  const rig = await openRig();
  const deploy = (replicaSet: Record<string, unknown>, more: Partial<DeployRequest> = {}) =>
    rig.deployments.deploy(
      { replicaSet: { name: "images", version: "1", ...replicaSet }, modules, ...more },
      "ada",
    );
  const stored = () => rig.store.deployments.find("images")!.current.specification;
  await deploy(settings);
  return { rig, deploy, stored };
}

Deno.test("a deployment of bare modules keeps every setting of the set, and says which", async () => {
  const { rig, deploy, stored } = await rigWithSet();
  const before = stored();
  const { revision, keptSettings } = await deploy({ version: "2" }, { keepSettings: true });
  const { breaking: _consent, ...rollout } = before.rollout;
  assert.deepEqual(
    stored(),
    { ...before, version: "2", rollout },
    "but for consent, which is given each time",
  );
  assert.equal(revision, 2);
  assert.deepEqual(keptSettings?.revision, 1);
  assert.deepEqual(keptSettings?.names.toSorted(), Object.keys(settings).sort());
  rig.close();
});

Deno.test("what a deployment of bare modules names wins; without the wish to keep nothing is kept", async () => {
  const { rig, deploy, stored } = await rigWithSet();
  const said = await deploy({ version: "2", placement: { arch: "x86_64" } }, { keepSettings: true });
  assert.deepEqual([stored().placement, stored().env], [{ arch: "x86_64" }, settings.env]);
  assert.ok(!said.keptSettings!.names.includes("placement"));
  const whole = await deploy({ version: "3" });
  assert.deepEqual([whole.keptSettings, stored().env, stored().spread], [undefined, {}, undefined]);
  const plain = await deploy({ version: "4" }, { keepSettings: true });
  assert.equal(plain.keptSettings, undefined, "a new set would have the same");
  rig.close();
});

Deno.test("a dry run after a rollback tells what differs from the revision in force, not from the one that failed", async () => {
  const { rig, deploy, stored } = await rigWithSet();
  rig.store.deployments.setGood("images", 1);
  await deploy({ ...settings, version: "2", memoryMb: 128 });
  const rollout = { replicaSet: "images", fromRevision: 1, toRevision: 2, startedAtMs: rig.clock.nowMs() };
  rig.store.deployments.saveRollout({ ...rollout, state: "failed", fallback: 1 });
  const { revision, changes } = await deploy({ ...settings, version: "3", memoryMb: 128 }, { dryRun: true });
  assert.deepEqual([revision, changes], [1, [
    { path: "version", before: '"1"', after: '"3"' },
    { path: "memoryMb", before: "64", after: "128" },
  ]]);
  assert.deepEqual((await deploy(settings, { dryRun: true })).changes, [], "as before the rollback");
  const { keptSettings } = await deploy({ version: "4" }, { keepSettings: true });
  assert.deepEqual([keptSettings?.revision, stored().memoryMb], [1, 64]);
  rig.close();
});

Deno.test("what is kept is what the deployment before has left, also one whose modules are still being built", async () => {
  const { rig, deploy, stored } = await rigWithSet();
  const env = { A: "new" };
  await Promise.all([
    deploy({ ...settings, version: "2", env }),
    deploy({ version: "3" }, { keepSettings: true }),
  ]);
  assert.deepEqual([stored().version, stored().env], ["3", env]);
  rig.close();
});

Deno.test("a new set has nothing to keep, and what is kept must go with what is named", async () => {
  const { rig, deploy } = await rigWithSet();
  const first = await deploy({ name: "sums" }, { keepSettings: true });
  assert.deepEqual([first.revision, first.keptSettings], [1, undefined]);
  await assert.rejects(
    deploy({ version: "2", placement: { zone: "attic" } }, { keepSettings: true }),
    /spreads over zone, and its placement allows one value/,
  );
  rig.close();
});

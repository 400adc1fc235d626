/** What `manager diff` says of a changed file: what would change, and what would be refused for those who call it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { buildInWorker as build } from "../../lib/deployment/module_builder.ts";
import { diffConfiguration } from "../../lib/manager/configuration_diff.ts";
import { readConfiguration } from "../../lib/manager/configuration_file.ts";
import { startSettings, waitingChanges, waitingLines } from "../../lib/manager/start_settings.ts";
import { openRig } from "./rig.ts";

const both = "export function resize(width: number) { return width; }\nexport function crop() {}\n";
const one = "export function resize(width: number) { return width; }\n";

Deno.test("a file that drops an endpoint in use would be refused, and the diff says so beside what would change", async () => {
  const folder = await Deno.makeTempDir();
  const rig = await openRig();
  try {
    const file = join(folder, "cluster.jsonc");
    const write = async (version: string, module: string, rollout = {}) => {
      const set = { name: "images", version, modules: ["./resize.ts"], rollout };
      await Deno.writeTextFile(join(folder, "resize.ts"), module);
      await Deno.writeTextFile(file, JSON.stringify({ replicaSets: [set] }));
    };
    const diff = (...called: string[]) =>
      diffConfiguration(file, rig.store.deployments, build, (endpoint) => called.includes(endpoint));
    await write("1", both);
    assert.deepEqual((await diff("images/crop")).refusals, [], "what is new drops nothing");
    const { replicaSets } = await readConfiguration(file);
    assert.deepEqual((await rig.deployments.applyFile(replicaSets, folder)).errors, []);

    await write("2", one);
    const refused = await diff("images/crop", "images/resize");
    assert.match(refused.text, /^images: after revision 1\n- version: "1"\n\+ version: "2"\n/);
    assert.deepEqual(refused.refusals, [
      "images: crop is gone; it was called within the last hour; " +
      'deploy with --force, or "breaking": "allow" in `rollout`',
    ]);
    assert.deepEqual((await diff("images/resize", "other/crop")).refusals, []);
    await write("2", one, { breaking: "allow" });
    assert.deepEqual((await diff("images/crop")).refusals, []);

    await write("1", both);
    rig.store.deployments.setOwner("images", "api");
    assert.match((await diff()).text, /^images: unchanged\nimages: its owner changes from "api" to "file": /);
    rig.store.deployments.setOwner("images", "file");
    await write("2", one, { breaking: "allow" });

    rig.store.deployments.setGood("images", 1);
    const second = await readConfiguration(file);
    assert.deepEqual((await rig.deployments.applyFile(second.replicaSets, folder)).errors, []);
    const rollout = { replicaSet: "images", fromRevision: 1, toRevision: 2, startedAtMs: rig.clock.nowMs() };
    rig.store.deployments.saveRollout({ ...rollout, state: "failed", fallback: 1 });
    assert.equal((await diff()).text, "images: unchanged\n", "what failed is not stored again");
    await write("3", both);
    assert.equal((await diff()).text, 'images: after revision 1\n- version: "1"\n+ version: "3"\n');
    await write("1", both);
    assert.equal((await diff()).text, "images: a new revision, the same as revision 1\n");
  } finally {
    rig.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what a manager takes over at its next start only is told as a diff, with what follows from it", () => {
  const started = startSettings({ listen: "0.0.0.0:7443" }, { advertise: [], data: "/srv/old" });
  const file = { listen: "0.0.0.0:1", advertise: ["attic.local"], data: "/srv/new" };
  const addresses = ["10.0.0.5:7443", "127.0.0.1:7443"];
  assert.deepEqual(waitingLines(waitingChanges(started, file), addresses), [
    "the manager: takes effect at its next start",
    "- advertise: []",
    '+ advertise: ["attic.local"]',
    '- data: "/srv/old"',
    '+ data: "/srv/new"',
    "agents and clients that have joined know only 10.0.0.5:7443, 127.0.0.1:7443",
    "the cluster does not move along; copy its folder while it is stopped",
  ]);
  assert.deepEqual(waitingLines(waitingChanges(started, { data: "/srv/old", advertise: [] }), addresses), []);
  // Where nobody names a folder it goes by where the manager was started, not by where the diff is asked for.
  const elsewhere = { ...startSettings({}, {}), data: "/srv/sqwish-data", dataDefault: "/srv/sqwish-data" };
  assert.deepEqual(waitingChanges(elsewhere, {}), []);
});

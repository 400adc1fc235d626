import assert from "node:assert/strict";
import { createSystemClock } from "../../lib/clock.ts";
import { checkConfiguration, ConfigurationFile } from "../../lib/manager/configuration_file.ts";
import { buildInWorker } from "../../lib/deployment/module_builder.ts";
import { Deployments } from "../../lib/manager/deployments.ts";
import { startSettings, waitingChanges, waitingInWords } from "../../lib/manager/start_settings.ts";
import { openStore, type Store } from "../../lib/store/store.ts";
import { eventually } from "../support/eventually.ts";
import { withFolder } from "../store/support.ts";

interface FileRig {
  folder: string;
  file: ConfigurationFile;
  store: Store;
  /** Kinds of the events so far. */
  kinds: string[];
  /** Of `configuration_waiting`. */
  waiting: string[];
  write(sets: unknown[] | string): Promise<void>;
}

async function withFile(work: (rig: FileRig) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const clock = createSystemClock();
    const store = openStore({ folder: null });
    const kinds: string[] = [];
    const waiting: string[] = [];
    const record = (level: string, kind: string, _subject: string, message: string) => {
      kinds.push(kind);
      if (kind === "configuration_waiting") waiting.push(`${level}: ${message}`);
    };
    const started = startSettings({ data: `${folder}/data` }, { cluster: "sqwish", advertise: [] });
    const deployments = new Deployments({
      clock,
      store,
      build: buildInWorker,
      record,
      changed() {},
    });
    const path = `${folder}/cluster.jsonc`;
    const file = new ConfigurationFile({
      ...{ file: path, clock, deployments, record, applied() {} },
      waiting: (configuration) => waitingInWords(waitingChanges(started, configuration), ["10.0.0.5:7443"]),
    });
    await Deno.writeTextFile(
      `${folder}/sums.ts`,
      "export function add(input: number): number { return input; }",
    );
    const write = (sets: unknown[] | string) =>
      Deno.writeTextFile(path, typeof sets === "string" ? sets : JSON.stringify({ replicaSets: sets }));
    await work({ folder, file, store, kinds, waiting, write }).finally(async () => {
      await file.close();
      store.close();
    });
  });
}

const sums = { name: "sums", version: "1", modules: ["./sums.ts"] };
const versions = (store: Store) =>
  store.deployments.loadAll().map(({ name, current }) => `${name} ${current.specification.version}`);

Deno.test("a good file is in force, a bad one is told once and changes nothing, a good one again says so", () =>
  withFile(async ({ file, store, kinds, write }) => {
    await write([sums]);
    await file.reload();
    assert.deepEqual(versions(store), ["sums 1"]);
    await write([{ ...sums, version: "2", replicas: -1 }]);
    await file.reload();
    await file.reload();
    assert.deepEqual(versions(store), ["sums 1"]);
    assert.match(file.errors[0], /replicaSets\[0\]\.replicas/);
    await write([{ ...sums, version: "2" }]);
    await file.reload();
    assert.deepEqual([versions(store), file.errors], [["sums 2"], []]);
    assert.deepEqual(kinds, ["deployed", "configuration_refused", "deployed", "configuration_accepted"]);
  }));

Deno.test("one set's bad module keeps every set of the file as it was", () =>
  withFile(async ({ folder, file, store, write }) => {
    await Deno.writeTextFile(`${folder}/broken.ts`, "export function {");
    await write([{ ...sums, version: "2" }, { name: "broken", version: "1", modules: ["./broken.ts"] }]);
    await file.reload();
    assert.deepEqual(versions(store), []);
    assert.match(file.errors.join("\n"), /broken\.ts/);
  }));

Deno.test("a set that the file no longer names is deleted, one of a client's stays", () =>
  withFile(async ({ file, store, write }) => {
    await write([sums]);
    await file.reload();
    const { current } = store.deployments.find("sums")!;
    const specification = { ...current.specification, name: "by-client" };
    store.deployments.addRevision(specification, new Map(), { owner: "api", createdBy: "ada", nowMs: 0 });
    await write([]);
    await file.reload();
    assert.deepEqual(versions(store), ["by-client 1"]);
  }));

Deno.test("the same file read again stores nothing", () =>
  withFile(async ({ file, store, write }) => {
    await write([sums]);
    for (let times = 0; times < 3; times++) await file.reload();
    assert.equal(store.deployments.find("sums")!.current.revision, 1);
  }));

Deno.test("a store that takes nothing is a refusal, and the next try is told as any other", () =>
  withFile(async ({ file, store, kinds, write }) => {
    await write([sums]);
    const { addRevision } = store.deployments;
    store.deployments.addRevision = () => {
      throw new Error("database or disk is full");
    };
    await file.reload();
    assert.equal(file.errors.length, 1);
    assert.match(file.errors[0], /^The change could not be stored, .*: database or disk is full$/);
    store.deployments.addRevision = addRevision;
    await file.reload();
    assert.deepEqual(versions(store), ["sums 1"]);
    assert.deepEqual(kinds, ["configuration_refused", "deployed", "configuration_accepted"]);
  }));

Deno.test("what only the next start takes over is told once, and when it waits no more", () =>
  withFile(async ({ file, kinds, waiting, write }) => {
    const text = (settings: unknown) => JSON.stringify(settings);
    await write(text({ data: "./elsewhere" }));
    await file.reload();
    assert.deepEqual(kinds, [], "the command line's folder wins, at the next start too");
    await write(text({ listen: "127.0.0.1:7555", cluster: "attic" }));
    await file.reload();
    await file.reload();
    assert.deepEqual(waiting, [
      'warn: The configuration file has changes that take effect at the next start: cluster "sqwish" → "attic", ' +
      'listen "0.0.0.0:7443" → "127.0.0.1:7555"; agents and clients that have joined know only 10.0.0.5:7443',
    ]);
    await write("{}");
    await file.reload();
    assert.match(waiting[1], /^info: No change/);
    assert.equal(kinds.length, 2);
  }));

Deno.test("a set that failed is tried again once the file allows what it failed for, and only then", () =>
  withFile(async ({ file, store, write }) => {
    await write([sums]);
    await file.reload();
    const { deployments } = store;
    const fail = (toRevision: number) =>
      deployments.saveRollout({
        ...{ replicaSet: "sums", fromRevision: toRevision - 1, toRevision, state: "failed" },
        ...{ startedAtMs: 0, ready: 0, total: 0 },
      });
    fail(1);
    await file.reload();
    assert.equal(deployments.find("sums")!.current.revision, 1);
    await write([{ ...sums, rollout: { breaking: "allow" } }]);
    await file.reload();
    assert.equal(deployments.find("sums")!.current.revision, 2);
    fail(2);
    await file.reload();
    assert.equal(deployments.find("sums")!.current.revision, 2);
  }));

Deno.test("changes of the file and of its modules are seen, until it is closed", () =>
  withFile(async ({ folder, file, store, write }) => {
    await write([sums]);
    await file.start();
    await Deno.writeTextFile(`${folder}/sums.ts`, "export function add() { return 2; }");
    await eventually("the module's change", () => store.deployments.find("sums")!.current.revision === 2);
    await write([{ ...sums, version: "9" }]);
    await eventually("the file's change", () => versions(store)[0] === "sums 9");
    await write([]);
    await file.close();
    await file.reload();
    assert.deepEqual(versions(store), ["sums 9"], "after the end nothing is applied any more");
  }));

Deno.test("`checkConfiguration()` tells all errors with their place, or what the file holds", () =>
  withFile(async ({ folder, write }) => {
    const path = `${folder}/cluster.jsonc`;
    await write([sums]);
    assert.deepEqual(await checkConfiguration(path, buildInWorker), { errors: [], summary: "sums 1" });
    await write([{ ...sums, replicas: -1, unknown: 1 }]);
    assert.equal((await checkConfiguration(path, buildInWorker)).errors.length, 2);
    await write("{");
    assert.equal((await checkConfiguration(path, buildInWorker)).errors.length, 1);
    assert.match(
      (await checkConfiguration(`${folder}/none`, buildInWorker)).errors[0],
      /can't be read: .*No such file/,
    );
    assert.match((await checkConfiguration(folder, buildInWorker)).errors[0], /can't be read: .*directory/);
  }));

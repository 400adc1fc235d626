import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { restoreStore } from "../../lib/store/backup.ts";
import { openStore } from "../../lib/store/store.ts";
import { specificationOf, withFolder } from "./support.ts";

const nowMs = 1_800_000_000_000;

Deno.test("a backup of a store in use, restored elsewhere, is the same cluster", async () => {
  await withFolder((folder) => {
    const { specification, files, sha256 } = specificationOf("images", "export const x = 1;");
    const store = openStore({ folder: `${folder}/data` });
    store.settings.set("authority", { key: "secret" });
    store.deployments.addRevision(specification, files, { owner: "api", createdBy: "mia", nowMs });
    store.backup(`${folder}/it's a backup.db`);
    store.settings.set("authority", { key: "later" });
    store.close();
    assert.equal((Deno.statSync(`${folder}/it's a backup.db`).mode ?? 0) & 0o777, 0o600);

    restoreStore(`${folder}/it's a backup.db`, `${folder}/other`);
    const restored = openStore({ folder: `${folder}/other` });
    assert.deepEqual(restored.settings.get("authority"), { key: "secret" });
    assert.deepEqual(restored.deployments.loadAll()[0].current.specification, specification);
    assert.deepEqual(new Uint8Array(restored.deployments.module(sha256)!), files.get(sha256));
    restored.close();
    const left = [...Deno.readDirSync(`${folder}/other`)].map((entry) => entry.name).sort();
    assert.deepEqual(left, ["manager.lock", "sqwish.db"]);
    assert.equal((Deno.statSync(`${folder}/other/sqwish.db`).mode ?? 0) & 0o777, 0o600);
  });
});

Deno.test("a command can back up the data of a running manager", async () => {
  await withFolder((folder) => {
    const manager = openStore({ folder: `${folder}/data` });
    manager.settings.set("cluster", "attic");
    const command = openStore({ folder: `${folder}/data`, shared: true });
    command.backup(`${folder}/backup`);
    command.close();
    manager.close();
    restoreStore(`${folder}/backup`, `${folder}/other`);
    const restored = openStore({ folder: `${folder}/other` });
    assert.equal(restored.settings.get("cluster"), "attic");
    restored.close();
  });
});

Deno.test("`backup()` refuses to write over a file", async () => {
  await withFolder((folder) => {
    const store = openStore({ folder: `${folder}/data` });
    Deno.writeTextFileSync(`${folder}/file`, "mine");
    assert.throws(() => store.backup(`${folder}/file`), { code: "conflict", message: /exists already/ });
    assert.equal(Deno.readTextFileSync(`${folder}/file`), "mine");
    assert.throws(() => store.backup(`${folder}/nowhere/backup`), {
      code: "internal",
      message: `The backup could not be written to ${folder}/nowhere/backup`,
    });
    store.close();
  });
});

Deno.test("`restoreStore()` refuses a folder with data", async () => {
  await withFolder((folder) => {
    const store = openStore({ folder: `${folder}/data` });
    store.settings.set("cluster", "attic");
    store.backup(`${folder}/backup`);
    store.settings.set("cluster", "shed");
    store.close();
    assert.throws(() => restoreStore(`${folder}/backup`, `${folder}/data`), {
      code: "conflict",
      message: /has data; move it away first/,
    });
    const untouched = openStore({ folder: `${folder}/data` });
    assert.equal(untouched.settings.get("cluster"), "shed");
    untouched.close();
  });
});

Deno.test("`restoreStore()` refuses what is no backup and leaves no data behind", async () => {
  await withFolder((folder) => {
    assert.throws(() => restoreStore(`${folder}/none`, `${folder}/data`), { code: "not_found" });

    Deno.writeTextFileSync(`${folder}/text`, "not a database ".repeat(1000));
    const foreign = new DatabaseSync(`${folder}/foreign`);
    foreign.exec("CREATE TABLE t (a TEXT)");
    foreign.close();
    for (const name of ["text", "foreign"]) {
      assert.throws(() => restoreStore(`${folder}/${name}`, `${folder}/data`), {
        code: "invalid_request",
        message: /made by `manager backup`/,
      });
    }

    const store = openStore({ folder: `${folder}/source` });
    for (let at = 0; at < 500; at++) {
      store.events.append({ atMs: at, level: "info", kind: "k", subject: "", message: "x".repeat(500) });
    }
    store.backup(`${folder}/whole`);
    store.close();
    const bytes = Deno.readFileSync(`${folder}/whole`);
    Deno.writeFileSync(`${folder}/cut`, bytes.subarray(0, bytes.length / 2));
    assert.throws(() => restoreStore(`${folder}/cut`, `${folder}/data`), { code: "invalid_request" });

    const newer = new DatabaseSync(`${folder}/whole`);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    assert.throws(() => restoreStore(`${folder}/whole`, `${folder}/data`), {
      code: "conflict",
      message: /is of format 99/,
    });
    assert.deepEqual([...Deno.readDirSync(`${folder}/data`)].map((entry) => entry.name), ["manager.lock"]);
  });
});

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Database } from "../../lib/store/database.ts";
import { isCurrentFormat, migrate } from "../../lib/store/migrate.ts";
import { migrations } from "../../lib/store/migrations/all.ts";
import { openStore } from "../../lib/store/store.ts";
import { specificationOf, withFolder } from "./support.ts";

const nowMs = 1_800_000_000_000;

Deno.test("`openStore()` makes a private folder with a private database", async () => {
  await withFolder((parent) => {
    const folder = `${parent}/a/data`;
    const store = openStore({ folder });
    store.settings.set("cluster", "attic");
    const files = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
    const modes = files.map((name) => (Deno.statSync(`${folder}/${name}`).mode ?? 0) & 0o777);
    store.close();
    assert.deepEqual(files, ["manager.lock", "sqwish.db", "sqwish.db-shm", "sqwish.db-wal"]);
    assert.deepEqual(modes, [0o600, 0o600, 0o600, 0o600]);
    assert.equal((Deno.statSync(folder).mode ?? 0) & 0o777, 0o700);
  });
});

Deno.test("everything is there when the store is opened again", async () => {
  await withFolder((folder) => {
    const { specification, files, sha256 } = specificationOf("images", "export const x = 1;");
    const store = openStore({ folder });
    store.settings.set("cluster", "attic");
    store.users.add({ name: "mia", role: "admin", passwordHash: "x" }, nowMs);
    store.agents.observeJoin({ name: "pi-1", identity: "one", labels: {} }, nowMs);
    store.deployments.addRevision(specification, files, { owner: "file", createdBy: "file", nowMs });
    store.events.append({ atMs: nowMs, level: "info", kind: "started", subject: "", message: "up" });
    store.samples.writeBlocks("hour", [{ kind: "agent", subject: "pi-1", slot: 7, bytes: Uint8Array.of(1) }]);
    store.close();
    store.close();

    const again = openStore({ folder });
    assert.equal(again.settings.get("cluster"), "attic");
    assert.equal(again.users.find("mia")?.role, "admin");
    assert.equal(again.agents.list().length, 1);
    assert.deepEqual(again.deployments.loadAll()[0].current.specification, specification);
    assert.ok(again.deployments.module(sha256));
    assert.equal(again.events.lastId(), 1);
    assert.deepEqual(again.samples.readBlocks("hour", 1, 0, 10), [{ slot: 7, bytes: Uint8Array.of(1) }]);
    again.close();
  });
});

Deno.test("a transaction over several repositories is undone whole", () => {
  const store = openStore({ folder: null });
  assert.throws(() =>
    store.transaction(() => {
      store.users.add({ name: "mia", role: "viewer", passwordHash: "x" }, nowMs);
      store.events.append({ atMs: nowMs, level: "info", kind: "user_added", subject: "mia", message: "" });
      throw new Error("no");
    }), /no/);
  assert.deepEqual([store.users.list(), store.events.list()], [[], []]);
  store.close();
});

Deno.test("a second manager on the same folder is refused until the first one is gone", async () => {
  await withFolder((folder) => {
    const first = openStore({ folder });
    assert.throws(() => openStore({ folder }), { code: "conflict", message: /another one is running on it/ });
    first.close();
    openStore({ folder }).close();
  });
});

Deno.test("a shared store works beside a running manager and sees and makes its changes", async () => {
  await withFolder((folder) => {
    const manager = openStore({ folder });
    const command = openStore({ folder, shared: true });
    command.users.add({ name: "mia", role: "viewer", passwordHash: "x" }, nowMs);
    assert.equal(manager.users.find("mia")?.role, "viewer");
    manager.users.remove("mia");
    assert.equal(command.users.find("mia"), undefined);
    command.close();
    manager.close();
  });
});

Deno.test("a shared store on an empty folder makes the data and leaves it free", async () => {
  await withFolder((folder) => {
    const command = openStore({ folder, shared: true });
    command.settings.set("cluster", "attic");
    const manager = openStore({ folder });
    assert.equal(manager.settings.get("cluster"), "attic");
    manager.close();
    command.close();
  });
});

Deno.test("data of a newer format is refused unchanged", async () => {
  await withFolder((folder) => {
    openStore({ folder }).close();
    const newer = new DatabaseSync(`${folder}/sqwish.db`);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    for (const shared of [false, true]) {
      assert.throws(() => openStore({ folder, shared }), {
        code: "conflict",
        message: `The data in ${folder} is of format 99, this manager knows up to ${migrations.length}; ` +
          "use a newer manager or restore a backup",
      });
    }
  });
});

Deno.test("a damaged database is one clear error and is left as it is", async () => {
  await withFolder((folder) => {
    const garbage = new TextEncoder().encode("this is no database\n".repeat(500));
    Deno.writeFileSync(`${folder}/sqwish.db`, garbage);
    assert.throws(() => openStore({ folder }), {
      code: "internal",
      message: /sqwish\.db is damaged; restore/,
    });
    assert.deepEqual(Deno.readFileSync(`${folder}/sqwish.db`), garbage);
  });
});

Deno.test("a database cut down to nothing is no new cluster, until somebody removes it", async () => {
  await withFolder((folder) => {
    openStore({ folder }).close();
    Deno.truncateSync(`${folder}/sqwish.db`, 0);
    for (const shared of [false, true]) {
      assert.throws(() => openStore({ folder, shared }), {
        code: "internal",
        message: /sqwish\.db is empty; remove it, then restore a backup or start to begin a new cluster/,
      });
    }
    assert.equal(Deno.statSync(`${folder}/sqwish.db`).size, 0);
    Deno.removeSync(`${folder}/sqwish.db`);
    openStore({ folder }).close();
  });
});

Deno.test("a first start that fails before anything is written leaves no empty database behind", async () => {
  await withFolder((folder) => {
    Deno.mkdirSync(`${folder}/sqwish.db-wal`);
    assert.throws(() => openStore({ folder }));
    Deno.removeSync(`${folder}/sqwish.db-wal`);
    openStore({ folder }).close();
  });
});

Deno.test("a folder that can't be written to is one clear error", async () => {
  await withFolder((parent) => {
    Deno.writeTextFileSync(`${parent}/file`, "");
    // Also the superuser can't make a folder within a file or within /proc.
    for (const folder of [`${parent}/file`, `${parent}/file/data`, "/proc/sqwish-data"]) {
      assert.throws(() => openStore({ folder }), {
        code: "invalid_request",
        message: new RegExp(`^The data folder ${folder} must be a folder this user can write to`),
      });
    }
  });
});

Deno.test("a read-only folder is refused to ordinary users", { ignore: Deno.uid() === 0 }, async () => {
  await withFolder((parent) => {
    const folder = `${parent}/data`;
    Deno.mkdirSync(folder, { mode: 0o500 });
    assert.throws(() => openStore({ folder }), { message: /must be a folder this user can write to/ });
  });
});

Deno.test("an interrupted migration leaves the old format whole", () => {
  const database = new Database(":memory:");
  assert.equal(isCurrentFormat(database), false);
  migrate(database, "memory");
  assert.equal(isCurrentFormat(database), true);
  const broken = [...migrations, "CREATE TABLE extra (a TEXT); CREATE TABLE extra (a TEXT)"];
  assert.throws(() => migrate(database, "memory", broken), /extra already exists/);
  assert.equal(isCurrentFormat(database), true);
  assert.equal(database.scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'"), 0);
  assert.equal(migrate(database, "memory", [...migrations, "CREATE TABLE extra (a TEXT)"]), 1);
  database.close();
});

Deno.test("a manager that is to serve refuses a database with a broken table, and says what to do", async () => {
  await withFolder(async (folder) => {
    openStore({ folder }).close();
    const path = `${folder}/sqwish.db`;
    const database = await Deno.readFile(path);
    const pageBytes = 4096;
    let refused = 0;
    for (let page = 2; page <= database.length / pageBytes; page++) {
      const broken = database.slice();
      // The kind of the page (sqlite.org/fileformat.html#b_tree_pages).
      broken[(page - 1) * pageBytes] = 0x77;
      await Deno.writeFile(path, broken);
      try {
        openStore({ folder, serving: true }).close();
      } catch (thrown) {
        assert.match(String(thrown), /sqwish\.db is damaged; restore a backup, or move the folder away/);
        refused++;
      }
    }
    assert.ok(
      refused >= database.length / pageBytes - 4,
      `${refused} of ${database.length / pageBytes} pages`,
    );
  });
});

import assert from "node:assert/strict";
import { sql } from "drizzle-orm";
import { checkpoint } from "../../lib/store/checkpoint.ts";
import { fileBytes, logPath } from "../../lib/store/data_folder.ts";
import { Database } from "../../lib/store/database.ts";
import { withFolder } from "./support.ts";

function withTable(work: (database: Database, names: () => unknown[]) => void): void {
  const database = new Database(":memory:");
  try {
    database.execute("CREATE TABLE names (name TEXT UNIQUE)");
    work(
      database,
      () => database.orm.all<{ name: string }>(sql`SELECT name FROM names`).map((row) => row.name),
    );
  } finally {
    database.close();
  }
}

function insert(database: Database, name: string): void {
  database.orm.run(sql`INSERT INTO names VALUES (${name})`);
}

Deno.test("`transaction()` commits all writes and returns what its work returned", () => {
  withTable((database, names) => {
    const value = database.transaction(() => {
      insert(database, "ant");
      insert(database, "bee");
      return 7;
    });
    assert.equal(value, 7);
    assert.deepEqual(names(), ["ant", "bee"]);
  });
});

Deno.test("`afterCommit()` waits for the outermost commit, and forgets what is rolled back", () => {
  withTable((database, names) => {
    const told: string[] = [];
    const tell = (name: string) => {
      insert(database, name);
      database.afterCommit(() => told.push(`${name} of ${names().length}`));
    };
    database.transaction(() => {
      tell("ant");
      database.transaction(() => tell("bee"));
      assert.throws(() =>
        database.transaction(() => {
          tell("cow");
          throw new Error("no");
        })
      );
      assert.deepEqual(told, []);
    });
    assert.deepEqual(told, ["ant of 2", "bee of 2"]);
    assert.throws(() =>
      database.transaction(() => {
        tell("dog");
        throw new Error("no");
      })
    );
    tell("elk");
    assert.deepEqual(told, ["ant of 2", "bee of 2", "elk of 3"]);
  });
});

Deno.test("`transaction()` undoes every write when its work throws", () => {
  withTable((database, names) => {
    const broken = new Error("broken");
    assert.throws(() =>
      database.transaction(() => {
        insert(database, "ant");
        throw broken;
      }), broken);
    assert.deepEqual(names(), []);
    insert(database, "bee");
    assert.deepEqual(names(), ["bee"]);
  });
});

Deno.test("a transaction within a transaction can fail alone", () => {
  withTable((database, names) => {
    database.transaction(() => {
      insert(database, "ant");
      assert.throws(() =>
        database.transaction(() => {
          insert(database, "bee");
          insert(database, "ant");
        }), (thrown: Error) => /UNIQUE/.test(String(thrown.cause)));
      database.transaction(() => insert(database, "cat"), "durable");
    });
    assert.deepEqual(names(), ["ant", "cat"]);
  });
});

Deno.test("a failing outer transaction undoes the inner one too", () => {
  withTable((database, names) => {
    assert.throws(() =>
      database.transaction(() => {
        database.transaction(() => insert(database, "ant"));
        throw new Error("too late");
      }), /too late/);
    assert.deepEqual(names(), []);
  });
});

Deno.test("`transaction()` refuses asynchronous work and keeps nothing of it", () => {
  withTable((database, names) => {
    assert.throws(() =>
      database.transaction(() => {
        insert(database, "ant");
        return Promise.resolve();
      }), { code: "internal", message: /must be synchronous/ });
    assert.deepEqual(names(), []);
  });
});

Deno.test("durable transactions sync the disk, and the relaxed mode is back after them", () => {
  withTable((database) => {
    const normal = 1;
    const full = 2;
    const within = database.transaction(() => database.scalar("PRAGMA synchronous"), "durable");
    assert.equal(within, full);
    assert.equal(database.scalar("PRAGMA synchronous"), normal);
    assert.throws(() =>
      database.transaction(() => {
        throw new Error("broken");
      }, "durable"), /broken/);
    assert.equal(database.scalar("PRAGMA synchronous"), normal);
  });
});

Deno.test("a full disk is told in words, and nothing of the transaction remains", () => {
  withTable((database, names) => {
    insert(database, "ant");
    database.execute(`PRAGMA max_page_count = ${database.scalar("PRAGMA page_count")}`);
    const fill = () => database.transaction(() => insert(database, "x".repeat(100_000)));
    assert.throws(fill, { code: "internal", message: /disk is full; free some space/ });
    assert.deepEqual(names(), ["ant"]);
  });
});

Deno.test("a deferred database commits without a sync, and `synced()` waits for what is durable", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/deferred.db`;
    const [database, beside] = [new Database(path, true), new Database(path)];
    try {
      database.execute("CREATE TABLE names (name TEXT UNIQUE)");
      const normal = 1;
      assert.equal(database.transaction(() => database.scalar("PRAGMA synchronous"), "durable"), normal);
      database.transaction(() => insert(database, "ant"), "durable");
      await database.synced();
      await Deno.rename(`${path}-wal`, `${path}-moved`);
      await database.synced();
      database.transaction(() => insert(database, "bee"), "durable");
      await assert.rejects(database.synced(), Deno.errors.NotFound);
      await assert.rejects(database.synced(), Deno.errors.NotFound, "what failed is not taken for done");
      const both = await Promise.allSettled([database.synced(), database.synced()]);
      assert.deepEqual(
        both.map(({ status }) => status),
        ["rejected", "rejected"],
        "one that joins a sync waits for it",
      );
      await Deno.rename(`${path}-moved`, `${path}-wal`);
      await database.synced();
    } finally {
      beside.close();
      database.close();
    }
  });
});

Deno.test("the log of a deferred database grows until `checkpoint()` brings it in, beside those who write", async () => {
  await withFolder((folder) => {
    const path = `${folder}/deferred.db`;
    const database = new Database(path, true);
    try {
      database.execute("CREATE TABLE names (name TEXT)");
      const write = (count: number) =>
        database.transaction(() => {
          for (let row = 0; row < count; row++) insert(database, "x".repeat(4000));
        });
      for (let batch = 0; batch < 12; batch++) write(100);
      assert.ok(fileBytes(logPath(path)) > 4_000_000, "no commit brings it in");
      checkpoint(path);
      write(1);
      assert.ok(fileBytes(logPath(path)) < 100_000, "the next write starts it over");
      const rows = database.orm.values(sql`SELECT count(*) FROM names`);
      assert.deepEqual(rows, [[1201]]);
    } finally {
      database.close();
    }
  });
});

Deno.test("joins with equally named columns keep every column apart", () => {
  withTable((database) => {
    insert(database, "ant");
    const rows = database.orm.values(sql`SELECT a.name, b.name, 3 FROM names a JOIN names b`);
    assert.deepEqual(rows, [["ant", "ant", 3]]);
  });
});

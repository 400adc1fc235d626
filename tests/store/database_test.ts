import assert from "node:assert/strict";
import { sql } from "drizzle-orm";
import { Database } from "../../lib/store/database.ts";

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

Deno.test("joins with equally named columns keep every column apart", () => {
  withTable((database) => {
    insert(database, "ant");
    const rows = database.orm.values(sql`SELECT a.name, b.name, 3 FROM names a JOIN names b`);
    assert.deepEqual(rows, [["ant", "ant", 3]]);
  });
});

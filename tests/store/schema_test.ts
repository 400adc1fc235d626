import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { getTableConfig, SQLiteTable } from "drizzle-orm/sqlite-core";
import { migrations } from "../../lib/store/migrations/all.ts";
import * as schema from "../../lib/store/schema.ts";

const tables = Object.values(schema).filter((value) => value instanceof SQLiteTable);

/** One column as both sides can tell it. */
interface ColumnFact {
  name: string;
  type: string;
  notNull: boolean;
  primary: boolean;
}

function migrated(): DatabaseSync {
  const sqlite = new DatabaseSync(":memory:");
  for (const migration of migrations) sqlite.exec(migration);
  return sqlite;
}

Deno.test("the migrations make exactly the tables that drizzle's schema names", () => {
  using sqlite = migrated();
  const made = sqlite.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
  )
    .all().map((row) => String(row.name));
  assert.deepEqual(made.sort(), tables.map((table) => getTableConfig(table).name).sort());
});

for (const table of tables) {
  const config = getTableConfig(table);
  Deno.test(`the migrations give table ${config.name} the columns of drizzle's schema`, () => {
    using sqlite = migrated();
    const keys = new Set(config.primaryKeys.flatMap((key) => key.columns.map((column) => column.name)));
    const wanted: ColumnFact[] = config.columns.map((column) => ({
      name: column.name,
      type: column.getSQLType().toUpperCase(),
      notNull: column.notNull,
      primary: column.primary || keys.has(column.name),
    }));
    const made: ColumnFact[] = sqlite.prepare("SELECT * FROM pragma_table_info(?)").all(config.name).map((
      row,
    ) => ({
      name: String(row.name),
      type: String(row.type),
      notNull: row.notnull === 1,
      primary: Number(row.pk) > 0,
    }));
    assert.deepEqual(made, wanted);
  });

  Deno.test(`the migrations give table ${config.name} the foreign keys and indexes of drizzle's schema`, () => {
    using sqlite = migrated();
    const references = sqlite.prepare("SELECT * FROM pragma_foreign_key_list(?)").all(config.name)
      .map((row) => `${row.from} ${row.table} ${row.to} ${String(row.on_delete).toLowerCase()}`);
    const wanted = config.foreignKeys.map((key) => {
      const { columns, foreignColumns, foreignTable } = key.reference();
      return `${columns[0].name} ${getTableConfig(foreignTable).name} ${
        foreignColumns[0].name
      } ${key.onDelete}`;
    });
    assert.deepEqual(references, wanted);
    const indexes = sqlite.prepare("SELECT name FROM pragma_index_list(?) WHERE origin = 'c'").all(
      config.name,
    );
    assert.deepEqual(indexes.map((row) => row.name), config.indexes.map((index) => index.config.name));
  });
}

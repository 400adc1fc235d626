import assert from "node:assert/strict";
import type { LogLineView } from "../../lib/protocol/views.ts";
import { Database } from "../../lib/store/database.ts";
import { LogStore } from "../../lib/store/logs.ts";
import { migrate } from "../../lib/store/migrate.ts";

const line = (id: number, replicaSet: string): LogLineView => (
  { id, replicaSet, agent: "pi", atMs: id, revision: 1, level: "info", text: `line ${id}` }
);

Deno.test("each set keeps its newest lines, whole, however much another prints", () => {
  const database = new Database(":memory:");
  try {
    migrate(database, "memory");
    const logs = new LogStore(database, 3);
    logs.write([line(1, "quiet"), line(2, "loud"), line(3, "loud")]);
    logs.write([line(4, "loud"), line(5, "loud"), line(6, "loud")]);
    assert.deepEqual(logs.loadAll().map(({ id }) => id), [1, 4, 5, 6]);
    assert.deepEqual(logs.loadAll()[0], line(1, "quiet"));
  } finally {
    database.close();
  }
});

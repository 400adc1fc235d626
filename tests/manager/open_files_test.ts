import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { connectionsMaxFor } from "../../lib/manager/open_files.ts";
import { parseOpenFilesMax } from "../../lib/open_files.ts";

Deno.test("connections leave room for the manager's own files, and at least one is let in", () => {
  assert.equal(connectionsMaxFor(1024, 24), 984);
  assert.equal(connectionsMaxFor(32, 24), 1);
  assert.equal(connectionsMaxFor(1_000_000, 24), limits.connectionsMax);
  assert.equal(connectionsMaxFor(undefined, 24), limits.connectionsMax);
});

Deno.test("`parseOpenFilesMax()` reads the soft limit, and knows of no limit elsewhere", () => {
  const text = `Limit                     Soft Limit           Hard Limit           Units
Max processes             96423                96423                processes
Max open files            64                   4096                 files
`;
  assert.equal(parseOpenFilesMax(text), 64);
  assert.equal(parseOpenFilesMax(text.replace("64 ", "unlimited")), undefined);
  assert.equal(parseOpenFilesMax(""), undefined);
});

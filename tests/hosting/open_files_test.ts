import assert from "node:assert/strict";
import { readOpenFiles, roomForRunners, whyNoRunner } from "../../lib/hosting/open_files.ts";

Deno.test("runners leave room for the agent's own files", () => {
  assert.equal(roomForRunners({ max: 64, now: 22 }), 5);
  assert.equal(roomForRunners({ max: 64, now: 47 }), 0);
  assert.equal(roomForRunners({ max: 64, now: 70 }), 0);
  assert.equal(roomForRunners({ max: undefined, now: 1000 }), Infinity);
});

Deno.test("who has no room for a runner says what to do", () => {
  assert.equal(whyNoRunner({ max: 64, now: 46 }), null);
  assert.match(
    whyNoRunner({ max: 64, now: 47 })!,
    /may have 64 open files and has 47.*LimitNOFILE= or ulimit -n/,
  );
});

Deno.test("`readOpenFiles()` counts what this process has open", async () => {
  const before = readOpenFiles();
  const files = await Promise.all(Array.from({ length: 20 }, () => Deno.open(import.meta.filename!)));
  const meanwhile = readOpenFiles();
  for (const file of files) file.close();
  assert.ok(before.max! > before.now, JSON.stringify(before));
  assert.ok(meanwhile.now >= before.now + 15, `${before.now} and ${meanwhile.now}`);
});

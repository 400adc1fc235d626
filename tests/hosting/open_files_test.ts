import assert from "node:assert/strict";
import { runProgram } from "../../examples/demo/programs.ts";
import { roomForRunners, whyNoRunner } from "../../lib/hosting/open_files.ts";
import { repositoryRoot } from "../support/source_files.ts";

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

Deno.test("`readOpenFiles()` counts what a process has open", async () => {
  // One of its own: tests that run beside this one open and close files, too.
  const text = `
    import { readOpenFiles } from "${repositoryRoot}/lib/hosting/open_files.ts";
    const before = readOpenFiles();
    for (let count = 0; count < 20; count++) Deno.openSync("/proc/self/stat");
    console.log(JSON.stringify([before, readOpenFiles()]));`;
  const { code, stdout, stderr } = await runProgram([Deno.execPath(), "eval"], [
    "--no-check",
    "--ext=ts",
    text,
  ]);
  assert.equal(code, 0, stderr);
  const [before, after] = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(before.max > before.now, JSON.stringify(before));
  assert.equal(after.now, before.now + 20);
});

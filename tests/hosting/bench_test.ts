import assert from "node:assert/strict";
import { repositoryRoot } from "../support/source_files.ts";

Deno.test("the micro-benchmark of agent and runner runs and loses nothing", async () => {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--quiet",
      `${repositoryRoot}/bench/micro/hosting.ts`,
      "0.3",
      "1,32",
      "64,100000",
      "later",
    ],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(success, new TextDecoder().decode(stderr));
  assert.equal(text.match(/^later \d+ B x\d+: [1-9]\d* req\/s/mg)?.length, 4, text);
  assert.doesNotMatch(text, /FAILED/);
});

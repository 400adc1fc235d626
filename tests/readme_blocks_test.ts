/** How README's blocks become commands; `readme_test.ts` runs them. */
import assert from "node:assert/strict";
import { readSteps, substitute } from "./support/readme_blocks.ts";

const page = [
  "# Title",
  "```sh",
  "# a comment",
  "./client deploy hello.ts \\",
  "  --name hello",
  "",
  "./client get agents",
  "```",
  "```ts hello.ts",
  "export const a = 1;",
  "```",
  "```sh stays",
  "./manager",
  "```",
  "```ts",
  "only to read",
  "```",
].join("\n");

Deno.test("`readSteps()` gives commands, programs that stay, and files, in order", () => {
  assert.deepEqual(readSteps(page), [
    { kind: "commands", line: 2, commands: ["./client deploy hello.ts --name hello", "./client get agents"] },
    { kind: "file", line: 9, name: "hello.ts", text: "export const a = 1;\n" },
    { kind: "stays", line: 12, commands: ["./manager"] },
  ]);
});

Deno.test("`readSteps()` refuses a block of commands that could go unnoticed", () => {
  assert.throws(() => readSteps("\n```sh no-run\nrm -rf\n```\n"), /line 2: .* is "sh no-run"/);
  assert.throws(() => readSteps("```bash\nls\n```\n"), /must be "sh" or "sh stays", is "bash "/);
});

Deno.test("`substitute()` replaces every occurrence, in the table's order, taking no pattern for `$`", () => {
  const table = [{ from: /pi\d/, to: "$1" }, { from: "attic.local", to: "127.0.0.1" }];
  assert.equal(
    substitute("scp agent pi1:pi2 attic.local attic.local", table),
    "scp agent $1:$1 127.0.0.1 127.0.0.1",
  );
});

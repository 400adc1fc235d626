import assert from "node:assert/strict";
import { createProgram } from "../../lib/cli/arguments.ts";
import { completionScript } from "../../lib/cli/completions.ts";
import { runClient } from "./command_line.ts";

function program() {
  const tool = createProgram({ name: "tool", description: "A tool.", version: "1.0.0" });
  tool.command("get").description("what's there").option("--json", "for machines");
  const rollout = tool.command("rollout").description("rollouts");
  rollout.command("status").option("--wait <t>", "how long");
  rollout.command("undo");
  return tool;
}

async function bash(words: string[]): Promise<string[]> {
  const script = completionScript(program(), "bash");
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const command = new Deno.Command("bash", {
    args: [
      "-c",
      `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${
        words.length - 1
      }; _tool_complete; echo "\${COMPREPLY[@]}"`,
    ],
  });
  const { stdout, stderr } = await command.output();
  assert.equal(new TextDecoder().decode(stderr), "");
  return new TextDecoder().decode(stdout).trim().split(" ").filter(Boolean);
}

Deno.test("the bash script completes commands, commands of commands, and options", async () => {
  assert.deepEqual(await bash(["tool", ""]), ["get", "rollout"]);
  assert.deepEqual(await bash(["tool", "ro"]), ["rollout"]);
  assert.deepEqual(await bash(["tool", "rollout", ""]), ["status", "undo"]);
  assert.deepEqual(await bash(["tool", "rollout", "status", "--w"]), ["--wait"]);
  assert.deepEqual(await bash(["tool", "get", "--"]), ["--json", "--help"]);
  assert.deepEqual(await bash(["tool", "get", "something", "--j"]), ["--json"]);
});

Deno.test("every command of the client is in each shell's script", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, out } = await runClient(["completions", shell]);
    assert.equal(code, 0);
    for (const word of ["login", "invoke", "describe", "replicasets", "undo", "completions", "idempotent"]) {
      assert.ok(out.includes(word), `${shell}: ${word}`);
    }
  }
  const { code, error } = await runClient(["completions", "powershell"]);
  assert.equal(code, 2);
  assert.match(error, /bash, zsh, fish/);
});

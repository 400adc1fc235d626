/** How the kernel schedules a program that has asked to work in batches. */
import assert from "node:assert/strict";
import { runProgram } from "../../examples/demo/programs.ts";
import { schedulingPolicyIn } from "../support/processes.ts";
import { repositoryRoot } from "../support/source_files.ts";

/** Of a process that was started by `chrt` with this option, after `workInBatches()`. */
async function policyFrom(option: string): Promise<string> {
  const text = `
    import { workInBatches } from "${repositoryRoot}/lib/agent/scheduling_policy.ts";
    workInBatches();
    console.log(Deno.readTextFileSync("/proc/thread-self/stat"));`;
  const { code, stdout, stderr } = await runProgram(
    ["chrt", option, "0", Deno.execPath()],
    ["eval", "--no-check", "--ext=ts", text],
  );
  assert.equal(code, 0, stderr);
  return schedulingPolicyIn(new TextDecoder().decode(stdout));
}

Deno.test({
  name: "who asks for it works in batches, unless somebody has chosen another policy",
  ignore: Deno.build.os !== "linux",
  async fn() {
    assert.equal(await policyFrom("-o"), "batch");
    assert.equal(await policyFrom("-i"), "idle");
  },
});

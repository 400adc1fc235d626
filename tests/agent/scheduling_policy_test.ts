/** How agents and their runners are scheduled, as the kernel tells it. */
import assert from "node:assert/strict";
import { evaluate } from "../support/evaluate.ts";
import { repositoryRoot } from "../support/source_files.ts";

/** Of <sched.h>. */
const SCHED_BATCH = 3;
const SCHED_IDLE = 5;

/** The policies of a process that has called `workInBatches()`, and of one it has started then. */
async function policiesOf(...by: string[]): Promise<number[]> {
  const told = await evaluate(
    `
    import { workInBatches } from "${repositoryRoot}/lib/agent/scheduling_policy.ts";
    workInBatches();
    const child = new Deno.Command("cat", { args: ["/proc/self/stat"] }).outputSync();
    console.log(Deno.readTextFileSync("/proc/thread-self/stat") + new TextDecoder().decode(child.stdout));`,
    { by },
  );
  // proc_pid_stat(5): field 41, the third is the first behind the name in brackets.
  return told.trim().split("\n").map((line) => Number(line.slice(line.lastIndexOf(")") + 2).split(" ")[38]));
}

const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "agents and what they start are scheduled as batch work",
  ignore,
  async fn() {
    assert.deepEqual(await policiesOf("chrt", "-o", "0"), [SCHED_BATCH, SCHED_BATCH]);
  },
});

Deno.test({
  name: "a policy that an agent was started with stays",
  ignore,
  async fn() {
    assert.deepEqual(await policiesOf("chrt", "-i", "0"), [SCHED_IDLE, SCHED_IDLE]);
  },
});

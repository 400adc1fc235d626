/** How the programs treat their machine: what the kernel tells of a manager, an agent and its runner. */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import { deployed, patienceMs } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { childrenOf, givenBackBy, schedulingPolicyOf } from "../support/processes.ts";

const echo = { "echo.ts": "export const echo = (input: unknown) => input;" };
const MiB = 1024 * 1024;

Deno.test({
  name: "agents and runners work in batches; manager and agent give memory back once they are quiet",
  ignore: Deno.build.os !== "linux",
  async fn() {
    // Whatever policy the tests run with.
    const cluster = await startCluster({ agents: 1, under: () => ({ prefix: ["chrt", "-o", "0"] }) });
    try {
      const sqwish = await cluster.connect();
      await deployed(sqwish, "echo", echo);
      assert.equal(await sqwish.invoke("echo/echo", "hello"), "hello");
      const [agent] = [...cluster.agents.values()];
      const [runner] = childrenOf(agent.pid);
      const policies = [cluster.manager.pid, agent.pid, runner].map(schedulingPolicyOf);
      assert.deepEqual(policies, ["other", "batch", "batch"]);
      // A peak that leaves more behind than a start.
      const body = new Uint8Array(30_000);
      for (let round = 0; round < 3; round++) {
        await Promise.all(Array.from({ length: 300 }, () => sqwish.invoke("echo/echo", body)));
      }
      for (const [name, { pid }] of [["the manager", cluster.manager], ["the agent", agent]] as const) {
        await eventually(`${name} gives memory back`, () => givenBackBy(pid) > MiB, patienceMs);
      }
    } finally {
      await cluster.close();
    }
  },
});

/** How the programs treat their machine: in batches as the kernel tells it, and small once there is nothing to do. */
import assert from "node:assert/strict";
import { startCluster } from "../support/cluster.ts";
import { deployed } from "../support/deploying.ts";
import { eventually } from "../support/eventually.ts";
import { childrenOf, schedulingPolicyOf } from "../support/processes.ts";

const echo = { "echo.ts": "export const echo = (input: unknown) => input;" };

Deno.test({
  name: "agents and runners work in batches; manager and agent give memory back once they are quiet",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const cluster = await startCluster({
      agents: 1,
      managerArguments: ["--verbose"],
      agentArguments: ["--verbose"],
      // Whatever policy the tests run with.
      under: () => ({ prefix: ["chrt", "-o", "0"] }),
    });
    try {
      const sqwish = await cluster.connect();
      await deployed(sqwish, "echo", echo);
      assert.equal(await sqwish.invoke("echo/echo", "hello"), "hello");
      const [agent] = [...cluster.agents.values()];
      const [runner] = childrenOf(agent.pid);
      const policies = [cluster.manager.pid, agent.pid, runner].map(schedulingPolicyOf);
      assert.deepEqual(policies, ["other", "batch", "batch"]);
      for (const [name, program] of [["manager", cluster.manager], ["agent", agent]] as const) {
        await eventually(
          `the ${name} gives memory back`,
          () => / gave memory back bytes=\d+ tookMs=\d+$/m.test(program.output),
          60_000,
        );
      }
    } finally {
      await cluster.close();
    }
  },
});

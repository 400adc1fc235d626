/** The manager away, again and again, and with many agents to come back. */
import { runClient } from "../clients.ts";
import { type Fault, pause } from "../fault.ts";
import { overviewOf } from "../../../tests/support/deploying.ts";
import { eventually } from "../../../tests/support/eventually.ts";

const agentsMany = 20;

export const managerFaults: Fault[] = [
  {
    name: "manager-killed-20-times",
    title: "manager killed 20 times in a row, under 10,000 requests",
    seen: "idempotent requests are all answered, each other one gets one outcome",
    errors: ["manager_lost"],
    // Whoever waited sends at once when the manager is back; the queue must hold that.
    stage: { queueMax: 10_000 },
    load: { perSecond: 300, timeoutMs: 120_000, countMax: 10_000 },
    async run({ cluster }) {
      const atMs = Date.now();
      for (let kill = 0; kill < 20; kill++) {
        await cluster.manager.end("SIGKILL");
        await cluster.startManager();
        await pause(1400);
      }
      return { atMs };
    },
  },
  {
    name: "manager-killed-with-20-agents",
    title: `manager killed and started again, ${agentsMany} agents`,
    seen: "as with few agents",
    errors: ["manager_lost"],
    stage: { agents: agentsMany, concurrency: 2 },
    async run(stage) {
      const load = stage.load({ perSecond: 20 });
      const atMs = Date.now();
      await stage.cluster.manager.end("SIGKILL");
      const startedMs = Date.now();
      await stage.cluster.startManager();
      const first = await eventually("a reply", () => load.answeredSince(atMs), 30_000);
      await eventually("all agents are back", async () => {
        const { agents } = await overviewOf(stage.sqwish);
        return agents.every(({ health }) => health === "ready");
      }, 30_000);
      const allBackMs = Date.now() - startedMs;
      await load.stop();
      return { atMs, figures: { startToFirstReplyMs: first.outcome!.atMs - startedMs, allBackMs } };
    },
  },
  {
    name: "client-killed",
    title: "client killed (SIGKILL) with 64 requests in flight",
    seen: "other clients: nothing; what it waited for is cancelled",
    async run(stage) {
      const client = runClient(stage.cluster, benchWith64("5"));
      await pause(1500);
      const atMs = Date.now();
      await client.end("SIGKILL");
      await eventually("nothing of it is left", async () => {
        const { replicaSets } = await overviewOf(stage.sqwish);
        return replicaSets.every(({ queued }) => queued === 0);
      }, 10_000);
      return { atMs };
    },
  },
  {
    name: "client-stopped",
    title: "client that stops reading for 5 s (SIGSTOP) with 64 requests in flight",
    seen: "other clients: nothing",
    async run(stage) {
      const client = runClient(stage.cluster, benchWith64("1"));
      await pause(1500);
      const atMs = Date.now();
      client.signal("SIGSTOP");
      await pause(5000);
      client.signal("SIGCONT");
      await client.end("SIGKILL");
      return { atMs };
    },
  },
];

/** A client's command line that keeps 64 requests in flight for longer than its fault takes. */
function benchWith64(spinMs: string): string[] {
  return ["bench", "notes/spin", spinMs, "--concurrency", "64", "--duration", "60s"];
}

/** The manager away, again and again, and with many agents to come back. */
import type { Program } from "../../../tests/support/cluster.ts";
import { overviewOf } from "../../../tests/support/deploying.ts";
import { eventually } from "../../../tests/support/eventually.ts";
import type { EventView } from "../../../lib/protocol/views.ts";
import { runClient } from "../clients.ts";
import { type Fault, pause } from "../fault.ts";
import { kill, queueMaxLong, type Stage, stopFor } from "../stage.ts";

const agentsMany = 20;

export const managerFaults: Fault[] = [
  {
    name: "manager-killed-20-times",
    title: "manager killed 20 times in a row, under 10,000 requests",
    seen: "idempotent requests are all answered, each other one gets one outcome",
    // Agents and requests are all back at once; what can't be in time then is told so.
    errors: ["manager_lost", "queue_full"],
    answeredMin: 0.5,
    stage: { queueMax: queueMaxLong },
    load: { perSecond: 300, timeoutMs: 120_000, countMax: 10_000 },
    async run({ cluster }) {
      const atMs = Date.now();
      for (let count = 0; count < 20; count++) {
        await kill(cluster.manager);
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
    // Agents and requests are all back at once; what can't be in time then is told so.
    errors: ["manager_lost", "queue_full"],
    answeredMin: 0.7,
    stage: { agents: agentsMany, concurrency: 2, queueMax: queueMaxLong },
    async run(stage) {
      const load = stage.load({ perSecond: 20 });
      const atMs = Date.now();
      await kill(stage.cluster.manager);
      const startedMs = Date.now();
      await stage.cluster.startManager();
      const readyMs = Date.now() - startedMs;
      const first = await eventually("a reply", () => load.answeredSince(atMs), 30_000);
      await eventually("all agents are back", async () => {
        const { agents } = await overviewOf(stage.sqwish);
        return agents.every(({ health }) => health === "ready");
      }, 30_000);
      const allBackMs = Date.now() - startedMs;
      await load.stop();
      const firstAgentBackMs = await firstReturned(stage, startedMs) - startedMs;
      const startToFirstReplyMs = first.outcome!.atMs - startedMs;
      return { atMs, figures: { readyMs, firstAgentBackMs, startToFirstReplyMs, allBackMs } };
    },
  },
  {
    name: "client-killed",
    title: "client killed (SIGKILL) with 64 requests in flight",
    seen: "other clients: nothing; what it waited for is cancelled",
    answeredMin: 1,
    async run(stage) {
      const { client, inFlight } = await flooding(stage, "5");
      const atMs = Date.now();
      await kill(client);
      await eventually("nothing of it is left", async () => await inFlightOf(stage) < others, 10_000);
      return { atMs, figures: { inFlight } };
    },
  },
  {
    name: "client-stopped",
    title: "client that stops reading for 5 s (SIGSTOP) with 64 requests in flight",
    seen: "other clients: nothing",
    answeredMin: 1,
    async run(stage) {
      const { client, inFlight } = await flooding(stage, "2");
      const atMs = Date.now();
      await stopFor([client.pid], 5000);
      await kill(client);
      return { atMs, figures: { inFlight } };
    },
  },
];

const flood = 64;
/** What the load of the round has in flight at most, unless something is wrong. */
const others = 32;

/** A client's process, once it has 64 requests in flight, with which it goes on for longer than its fault takes. */
async function flooding(stage: Stage, spinMs: string): Promise<{ client: Program; inFlight: number }> {
  const args = ["bench", "notes/spin", spinMs, "--concurrency", `${flood}`, "--duration", "60s"];
  const client = runClient(stage.cluster, args);
  const inFlight = await eventually("the client's requests are in flight", async () => {
    const now = await inFlightOf(stage);
    return now >= flood ? now : undefined;
  });
  return { client, inFlight };
}

/** When the first agent was back, by the manager's clock. */
async function firstReturned({ sqwish }: Stage, sinceMs: number): Promise<number> {
  const { json } = await sqwish.call("GET", "/v1/events?limit=1000&kind=agent_returned");
  const { events } = json as { events: EventView[] };
  return Math.min(...events.map(({ atMs }) => atMs).filter((atMs) => atMs >= sinceMs));
}

/** Requests that wait or run, of everyone. */
async function inFlightOf({ sqwish }: Stage): Promise<number> {
  const { replicaSets } = await overviewOf(sqwish);
  return replicaSets.reduce((sum, { queued, outstanding }) => sum + queued + outstanding, 0);
}

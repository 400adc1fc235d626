/** What waiting requests take of the manager's memory: requests of 64 B for an endpoint that is busy for good. */
import { type Memory, memoryOf } from "../measure.ts";
import type { FillJob } from "../children/fill_queue.ts";
import { startCluster } from "../peers/sqwish/cluster.ts";
import { pause, startModule, unlessAborted } from "../processes.ts";
import { type Session, withContext } from "../session.ts";

export interface Queued {
  requests: number;
  before: Memory;
  waiting: Memory;
  /** Per waiting request, bytes of RSS. */
  bytesEach: number;
}

const bytes = 64;

export async function queued(session: Session, requests: number): Promise<Queued> {
  return await withContext(session, async (context) => {
    const cluster = await startCluster(context, {
      module: "hold.ts",
      replicaSet: { replicas: 1, concurrency: 1, queue: { max: requests }, timeoutMs: 3_600_000 },
      agents: 1,
    });
    try {
      const [{ pid }] = cluster.programs;
      await unlessAborted(context.interrupted, pause(1000));
      const before = memoryOf([pid]);
      const job: FillJob = { token: cluster.manager.clientToken, requests, bytes };
      await startModule(context, "queue", "children/fill_queue.ts", job);
      // One of them runs, the others wait.
      while ((await cluster.overview()).replicaSets[0].queued < requests - 1) {
        await unlessAborted(context.interrupted, pause(200));
        cluster.assertRunning();
      }
      await unlessAborted(context.interrupted, pause(1000));
      const waiting = memoryOf([pid]);
      const bytesEach = (waiting.rssMb - before.rssMb) * 1024 * 1024 / requests;
      const found = { requests, before, waiting, bytesEach };
      session.say(`${requests} waiting requests: ${JSON.stringify(found)}`);
      return found;
    } finally {
      await cluster.close();
    }
  });
}

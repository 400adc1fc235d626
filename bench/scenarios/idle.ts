/** What a manager takes while nothing happens, with more and more idle connections of clients. */
import { cpuUsOf, memoryOf } from "../measure.ts";
import type { CrowdJob } from "../children/crowd.ts";
import type { PeerContext } from "../peers/peer.ts";
import { authorityOf, startCluster } from "../peers/sqwish/cluster.ts";
import { pause, startModule, unlessAborted } from "../processes.ts";
import { type Session, withContext } from "../session.ts";

export interface IdlePoint {
  connections: number;
  rssMb: number;
  pssMb: number;
  /** Of one core. */
  cpuPercent: number;
}

/** How long memory is left to settle after the handshakes. */
const settleMs = 3000;

export async function idle(session: Session, counts: readonly number[]): Promise<IdlePoint[]> {
  return await withContext(session, async (context) => {
    const cluster = await startCluster(context, {
      module: "echo.ts",
      replicaSet: { replicas: 1 },
      agents: 0,
    });
    try {
      const [{ pid }] = cluster.programs;
      const { url, adminPassword } = cluster.manager;
      const caPem = await authorityOf(cluster);
      await cluster.sqwish.close();
      const points: IdlePoint[] = [];
      for (const [index, connections] of counts.entries()) {
        const more = connections - (counts[index - 1] ?? 0);
        const job: CrowdJob = { url, caPem, user: "admin", password: adminPassword!, count: more };
        if (more > 0) await startModule(context, `${more} clients`, "children/crowd.ts", job, 120_000);
        points.push({ connections, ...await watch(session, context, pid) });
        session.say(`${connections} idle connections: ${JSON.stringify(points.at(-1))}`);
      }
      return points;
    } finally {
      await cluster.close();
    }
  });
}

async function watch(
  session: Session,
  context: PeerContext,
  pid: number,
): Promise<Omit<IdlePoint, "connections">> {
  await unlessAborted(context.interrupted, pause(Math.min(settleMs, session.windowMs)));
  const before = cpuUsOf([pid]);
  const startedMs = performance.now();
  await unlessAborted(context.interrupted, pause(session.windowMs));
  const cpuPercent = (cpuUsOf([pid]) - before) / (performance.now() - startedMs) / 10;
  return { ...memoryOf([pid]), cpuPercent };
}

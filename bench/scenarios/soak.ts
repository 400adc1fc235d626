/** A long time at half of what the cluster can do: does memory stay flat, and is every request answered? */
import type { PacedJob, PacedResult } from "../children/paced.ts";
import type { LoadJob, Measurement } from "../load.ts";
import { memoryOf } from "../measure.ts";
import { sqwish } from "../peers/sqwish/peer.ts";
import { pause, resultOf, runModule, spawnModule, unlessAborted } from "../processes.ts";
import { type Session, withPeer } from "../session.ts";

export interface SoakPoint {
  minutes: number;
  /** PSS in MiB by role. */
  memoryMb: Record<string, number>;
}

export interface Soak {
  perSecond: number;
  points: SoakPoint[];
  load: PacedResult;
}

const bytes = 64;
const pointsMax = 240;

export async function soak(session: Session, minutes: number): Promise<Soak> {
  return await withPeer(session, sqwish, async ({ target, pids }, context) => {
    if (target.kind !== "library") throw new Error("This scenario needs the client library");
    const { client, address } = target;
    const { warmMs, windowMs } = session;
    const job: LoadJob = { client, address, pids, warmMs, windowMs, bytes, clients: 1, outstanding: 64 };
    const full = await runModule<Measurement>(context, "full load", "load.ts", job);
    const perSecond = Math.round(full.requests / full.seconds / 2);
    const { token } = address as { token: string };
    const paced: PacedJob = { token, bytes, perSecond, seconds: minutes * 60 };
    const program = spawnModule(context, "half load", "children/paced.ts", paced);
    const points: SoakPoint[] = [];
    const startedMs = performance.now();
    const everyMs = Math.max(1000, minutes * 60_000 / pointsMax);
    while (program.exitCode() === null) {
      await unlessAborted(context.interrupted, Promise.race([pause(everyMs), program.ended]));
      if (program.exitCode() !== null) break;
      const entries = Object.entries(pids).map(([role, each]) => [role, memoryOf(each).pssMb]);
      points.push({
        minutes: (performance.now() - startedMs) / 60_000,
        memoryMb: Object.fromEntries(entries),
      });
      session.say(`soak: ${JSON.stringify(points.at(-1))}`);
    }
    const load = await resultOf<PacedResult>(context, program);
    session.say(`soak at ${perSecond}/s: ${JSON.stringify(load)}`);
    return { perSecond, points, load };
  });
}

/**
 * By how much each role's memory grew from the second quarter of the time to the last, as a share; what programs
 * take on while they get warm is over by then. Empty for fewer points than quarters.
 */
export function growth(points: readonly SoakPoint[]): Record<string, number> {
  const quarter = Math.floor(points.length / 4);
  if (quarter === 0) return {};
  const early = points.slice(quarter, 2 * quarter);
  const late = points.slice(-quarter);
  const roles = Object.keys(points[0].memoryMb).filter((role) => points[0].memoryMb[role] > 0);
  return Object.fromEntries(
    roles.map((role) => [role, meanOf(late, role) / meanOf(early, role) - 1]),
  );
}

function meanOf(points: readonly SoakPoint[], role: string): number {
  return points.reduce((sum, { memoryMb }) => sum + memoryMb[role], 0) / points.length;
}

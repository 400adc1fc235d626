/** Cost per request in the dispatcher as the cluster grows: agents, endpoints, and what waits in queues. */
import type { DispatchJob, DispatchResult } from "../children/dispatch.ts";
import { runModule } from "../processes.ts";
import { type Session, withContext } from "../session.ts";

export interface ScalingPoint {
  size: number;
  /** One for each round. */
  nsPerRequest: number[];
}

export type Dimension = "agents" | "endpoints" | "queued";

const base = { agents: 2, endpoints: 10, queued: 0 };

export async function scaling(
  session: Session,
  sizes: Readonly<Record<Dimension, readonly number[]>>,
  requests: number,
): Promise<Record<Dimension, ScalingPoint[]>> {
  const found: Record<Dimension, ScalingPoint[]> = { agents: [], endpoints: [], queued: [] };
  for (const dimension of Object.keys(sizes) as Dimension[]) {
    const points = sizes[dimension].map((size): ScalingPoint => ({ size, nsPerRequest: [] }));
    for (let round = 1; round <= session.rounds; round++) {
      for (const point of round % 2 === 1 ? points : points.toReversed()) {
        const job: DispatchJob = { ...base, [dimension]: point.size, requests };
        const result = await withContext(
          session,
          (context) => runModule<DispatchResult>(context, "dispatch", "children/dispatch.ts", job),
        );
        point.nsPerRequest.push(result.nsPerRequest);
      }
    }
    found[dimension] = points;
    session.say(`cost by ${dimension}: ${JSON.stringify(points)}`);
  }
  return found;
}

/** A peer started anew, loaded by whatever speaks its language, and ended. */
import type { Measurement, Workload } from "./load.ts";
import type { Peer } from "./peers/peer.ts";
import { runLoad, type Session, withPeer } from "./session.ts";
import { measureWithWrk } from "./wrk.ts";

/** One measurement of one peer under one workload. */
export async function measurePeer(session: Session, peer: Peer, workload: Workload): Promise<Measurement> {
  return await withPeer(
    session,
    peer,
    (running, context) =>
      running.target.kind === "http"
        ? measureWithWrk(session, context, running, workload)
        : runLoad(session, context, {
          ...workload,
          client: running.target.client,
          address: running.target.address,
          processes: running.processes,
        }),
  );
}

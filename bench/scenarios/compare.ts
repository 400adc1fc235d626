/**
 * The same echo through every system: rounds in which each system meets each workload once, each time started
 * anew, in an order that turns with every round.
 */
import type { LoadJob, Measurement, Workload } from "../load.ts";
import type { Peer } from "../peers/peer.ts";
import { runModule } from "../processes.ts";
import { type Session, withPeer } from "../session.ts";
import { measureWithWrk } from "../wrk.ts";

export interface Case extends Workload {
  /** As the tables name it. */
  title: string;
}

export interface Sample {
  peer: string;
  case: string;
  round: number;
  measurement: Measurement;
}

export async function compare(
  session: Session,
  peers: readonly Peer[],
  chosen: readonly Case[],
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let round = 1; round <= session.rounds; round++) {
    const order = round % 2 === 1 ? peers : peers.toReversed();
    for (const each of chosen) {
      for (const peer of order) {
        const measurement = await measurePeer(session, peer, each);
        samples.push({ peer: peer.name, case: each.title, round, measurement });
        session.say(`round ${round}, ${peer.title}, ${each.title}: ${inWords(measurement)}`);
      }
    }
  }
  return samples;
}

/** One measurement of one peer, which is started for it, by a fresh process. */
async function measurePeer(session: Session, peer: Peer, workload: Workload): Promise<Measurement> {
  const { warmMs, windowMs } = session;
  return await withPeer(session, peer, async ({ target, pids }, context) => {
    if (target.kind === "http") return await measureWithWrk(session, context, { target, pids }, workload);
    const { client, address } = target;
    const job: LoadJob = { ...workload, client, address, pids, warmMs, windowMs };
    return await runModule<Measurement>(context, "load", "load.ts", job);
  });
}

function inWords({ requests, seconds, p50Us, p99Us, cpuUs }: Measurement): string {
  const cpu = Object.entries(cpuUs).map(([role, us]) => `${role} ${us.toFixed(1)}`).join(", ");
  const [p50, p99] = [p50Us, p99Us].map((us) => (us / 1000).toFixed(2));
  return `${Math.round(requests / seconds)}/s, p50 ${p50} ms, p99 ${p99} ms, µs per request: ${cpu}`;
}

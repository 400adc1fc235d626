/**
 * Small requests of one client, alone and while another client sends bodies of 8 MiB one after the other: what big
 * bodies do to the latency of small ones.
 */
import type { LoadJob, Measurement } from "../load.ts";
import { sqwish } from "../peers/sqwish/peer.ts";
import { resultOf, runModule, spawnModule } from "../processes.ts";
import { type Session, withPeer } from "../session.ts";

const small = { bytes: 64, clients: 1, outstanding: 16 };
const large = { bytes: 8 * 1024 * 1024, clients: 1, outstanding: 1 };

export interface MixedRound {
  quiet: Measurement;
  /** The small requests while the large ones are sent. */
  beside: Measurement;
  large: Measurement;
}

export async function mixed(session: Session): Promise<MixedRound[]> {
  const rounds: MixedRound[] = [];
  for (let round = 1; round <= session.rounds; round++) {
    const found = await withPeer(session, sqwish, async ({ target, pids }, context) => {
      if (target.kind !== "library") throw new Error("This scenario needs the client library");
      const { client, address } = target;
      const { warmMs, windowMs } = session;
      const common = { client, address, pids };
      const smallJob: LoadJob = { ...common, ...small, warmMs, windowMs };
      const quiet = await runModule<Measurement>(context, "quiet load", "load.ts", smallJob);
      // Its window covers the other's, whose process needs time to start and to get warm.
      const largeJob: LoadJob = { ...common, ...large, warmMs: 0, windowMs: warmMs + windowMs + 1000 };
      const beside = spawnModule(context, "large bodies", "load.ts", largeJob);
      const measured = await runModule<Measurement>(context, "small load", "load.ts", smallJob);
      return { quiet, beside: measured, large: await resultOf<Measurement>(context, beside) };
    });
    rounds.push(found);
    session.say(
      `round ${round}, small requests: p99 ${(found.quiet.p99Us / 1000).toFixed(2)} ms alone, ` +
        `${(found.beside.p99Us / 1000).toFixed(2)} ms beside ` +
        `${(found.large.requests / found.large.seconds).toFixed(1)} bodies of 8 MiB per second`,
    );
  }
  return rounds;
}

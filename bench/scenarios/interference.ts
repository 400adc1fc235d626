/** Small requests of one client while another sends 8 MiB bodies there and back, beside the same without it. */
import type { Measurement } from "../load.ts";
import { nats } from "../peers/nats/peer.ts";
import type { Peer, PeerContext, RunningPeer } from "../peers/peer.ts";
import { sqwish } from "../peers/sqwish/peer.ts";
import { runLoad, type Session, withPeer } from "../session.ts";
import { median, short, table } from "../statistics.ts";
import { inWords } from "./comparison.ts";
import type { Goal, Scenario } from "./scenario.ts";

interface Round {
  peer: string;
  title: string;
  outstanding: number;
  quiet: Measurement;
  disturbed: Measurement;
  /** The large bodies meanwhile. */
  large: Measurement;
}

const smallBytes = 64;
const largeBytes = 8 * 1024 * 1024;
const outstandings = [1, 64];

export const interference: Scenario<Round[]> = {
  name: "interference",
  title: "Small requests beside large bodies",
  async run(session, peers) {
    const present = [nats, sqwish].filter((peer) => peers.includes(peer));
    const rounds: Round[] = [];
    for (let round = 1; round <= session.rounds; round++) {
      for (const peer of round % 2 === 1 ? present : present.toReversed()) {
        rounds.push(...await measureOne(session, peer));
      }
    }
    return rounds;
  },
  section(rounds) {
    const rows = groupsOf(rounds).map(({ title, outstanding, quietMs, disturbedMs, largeMbPerSecond }) => [
      ...[`${title}, ${outstanding} outstanding`, short(quietMs), short(disturbedMs)],
      ...[short(disturbedMs / quietMs), short(largeMbPerSecond)],
    ]);
    const head = [
      "p99 of 64 B requests",
      "quiet ms",
      "beside 8 MiB bodies ms",
      "ratio",
      "large bodies MiB/s",
    ];
    return {
      text:
        `One client keeps its small requests going. Another, a process of its own, sends bodies of 8 MiB one after the
other and gets them back. The same two cores do all the work, the large bodies' included, so some of what is lost is
the processor's.

${table(head, rows)}`,
      plots: [],
      goals: goalsOf(rounds),
    };
  },
};

async function measureOne(session: Session, peer: Peer): Promise<Round[]> {
  const rounds: Round[] = [];
  for (const outstanding of outstandings) {
    const title = `${outstanding} outstanding beside 8 MiB bodies`;
    if (!session.wants(title)) continue;
    const round = await withPeer(session, peer, async (running, context) => {
      const quiet = await smallLoad(session, context, running, outstanding);
      const { warmMs, windowMs, quick } = session;
      const marginMs = quick ? 300 : 1500;
      // The large bodies flow before the small requests are measured, and still do afterwards.
      const longer = { ...session, warmMs: marginMs, windowMs: warmMs + windowMs + marginMs };
      const large = runLoad(longer, context, {
        ...jobOf(running),
        ...{ bytes: largeBytes, clients: 1, outstanding: 1 },
      });
      // Whatever the small ones do meanwhile, this one's failure must not be nobody's.
      large.catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, marginMs));
      const disturbed = await smallLoad(session, context, running, outstanding);
      return { peer: peer.name, title: peer.title, outstanding, quiet, disturbed, large: await large };
    });
    session.say(`${peer.title}, ${outstanding} outstanding, quiet: ${inWords(round.quiet)}`);
    session.say(`${peer.title}, ${title}: ${inWords(round.disturbed)}`);
    rounds.push(round);
  }
  return rounds;
}

function smallLoad(session: Session, context: PeerContext, running: RunningPeer, outstanding: number) {
  return runLoad(session, context, { ...jobOf(running), bytes: smallBytes, clients: 1, outstanding });
}

function jobOf({ target, processes }: RunningPeer) {
  if (target.kind !== "library") throw new Error("Interference needs a peer with a client library");
  return { client: target.client, address: target.address, processes };
}

function groupsOf(rounds: readonly Round[]) {
  const keys = [...new Set(rounds.map(({ peer, outstanding }) => `${peer} ${outstanding}`))];
  return keys.map((key) => {
    const group = rounds.filter(({ peer, outstanding }) => `${peer} ${outstanding}` === key);
    const { peer, title, outstanding } = group[0];
    const mib = largeBytes / 1024 / 1024;
    return {
      ...{ peer, title, outstanding },
      quietMs: median(group.map(({ quiet }) => quiet.p99Us / 1000)),
      disturbedMs: median(group.map(({ disturbed }) => disturbed.p99Us / 1000)),
      largeMbPerSecond: median(group.map(({ large }) => large.requests * mib / large.seconds)),
    };
  });
}

function goalsOf(rounds: readonly Round[]): Goal[] {
  return groupsOf(rounds).filter(({ peer }) => peer === "sqwish").map(
    ({ outstanding, quietMs, disturbedMs }) => ({
      work: `p99 of 64 B requests beside 8 MiB bodies, ${outstanding} outstanding`,
      goal: "under 3 × its quiet p99",
      measured: `${short(disturbedMs / quietMs)} × (${short(disturbedMs)} ms to ${short(quietMs)} ms)`,
      reached: disturbedMs < 3 * quietMs,
    }),
  );
}

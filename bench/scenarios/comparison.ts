/**
 * Rounds in which each system meets each workload once, each time started anew, in an order that turns with every
 * round; and the tables that show their medians.
 */
import type { Measurement, Workload } from "../load.ts";
import type { Peer } from "../peers/peer.ts";
import { barPlot } from "../plot.ts";
import { measurePeer } from "../measure_peer.ts";
import type { Session } from "../session.ts";
import { median, short, table } from "../statistics.ts";

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

export interface Comparison {
  peers: { name: string; title: string }[];
  samples: Sample[];
}

export async function compare(
  session: Session,
  peers: readonly Peer[],
  chosen: readonly Case[],
): Promise<Comparison> {
  const samples: Sample[] = [];
  for (let round = 1; round <= session.rounds; round++) {
    const order = round % 2 === 1 ? peers : peers.toReversed();
    for (const each of chosen) {
      for (const peer of order) {
        // wrk knows no clients, only connections, and as many of them were measured already.
        if (each.clients > 1 && peer.needs.includes("wrk")) continue;
        const measurement = await measurePeer(session, peer, each);
        samples.push({ peer: peer.name, case: each.title, round, measurement });
        session.say(`round ${round}, ${peer.title}, ${each.title}: ${inWords(measurement)}`);
      }
    }
  }
  return { peers: peers.map(({ name, title }) => ({ name, title })), samples };
}

export interface Outcome {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  brokerUs: number;
  /** Of all processes together, the load generator included. */
  allUs: number;
  /** Of each role by itself. */
  roleUs: Record<string, number>;
  rssMb: number;
  pssMb: number;
}

/** Medians over the rounds; undefined when it was not measured. */
export function outcomeOf({ samples }: Comparison, peer: string, title: string): Outcome | undefined {
  const found = samples.filter((sample) => sample.peer === peer && sample.case === title)
    .map(({ measurement }) => measurement);
  if (found.length === 0) return undefined;
  const of = (read: (one: Measurement) => number) => median(found.map(read));
  return {
    perSecond: of(({ requests, seconds }) => requests / seconds),
    p50Ms: of(({ p50Us }) => p50Us / 1000),
    p99Ms: of(({ p99Us }) => p99Us / 1000),
    brokerUs: of(({ cpuUs }) => cpuUs.broker),
    allUs: of(({ cpuUs }) => Object.values(cpuUs).reduce((sum, us) => sum + us, 0)),
    roleUs: Object.fromEntries(
      Object.keys(found[0].cpuUs).map((role) => [role, of(({ cpuUs }) => cpuUs[role])]),
    ),
    rssMb: of(({ memory }) => memory.rssMb),
    pssMb: of(({ memory }) => memory.pssMb),
  };
}

export function casesOf({ samples }: Comparison): string[] {
  return [...new Set(samples.map((sample) => sample.case))];
}

export function comparisonTables(comparison: Comparison): string {
  return casesOf(comparison).map((title) => {
    const rows = comparison.peers.flatMap((peer) => {
      const outcome = outcomeOf(comparison, peer.name, title);
      if (!outcome) return [];
      const { perSecond, p50Ms, p99Ms, brokerUs, allUs, rssMb, pssMb } = outcome;
      const broker = rssMb === 0 ? ["none", "–"] : [short(brokerUs), `${short(rssMb)} / ${short(pssMb)}`];
      const [us, memory] = broker;
      return [[peer.title, short(perSecond), short(p50Ms), short(p99Ms), us, short(allUs), memory]];
    });
    const head = [
      ...[title, "requests/s", "p50 ms", "p99 ms"],
      ...["broker µs/request", "all processes µs/request", "broker RSS / PSS MiB"],
    ];
    return [table(head, rows), ...whereTimeGoes(comparison, title)].join("\n\n");
  }).join("\n\n");
}

/** What Sqwish's share of "all processes" is made of: where to look when a goal is missed. */
function whereTimeGoes(comparison: Comparison, title: string): string[] {
  return ["sqwish", "sqwish-http"].flatMap((peer) => {
    const outcome = outcomeOf(comparison, peer, title);
    if (!outcome) return [];
    const { broker, agents, workers, client } = outcome.roleUs;
    const parts = Object.entries({ manager: broker, agents, runners: workers, "load generator": client });
    return [
      `Sqwish by process, µs/request: ${parts.map(([name, us]) => `${name} ${short(us)}`).join(", ")}.`,
    ];
  });
}

export function comparisonPlot(comparison: Comparison, title: string, cases: readonly string[]): string {
  return barPlot(
    title,
    "requests per second, longer is better",
    cases.map((each) => ({
      title: each,
      bars: comparison.peers.flatMap((peer) => {
        const outcome = outcomeOf(comparison, peer.name, each);
        return outcome ? [{ series: peer.title, value: outcome.perSecond }] : [];
      }),
    })),
  );
}

export function inWords({ requests, seconds, p50Us, p99Us, cpuUs }: Measurement): string {
  const cpu = Object.entries(cpuUs).map(([role, us]) => `${role} ${us.toFixed(1)}`).join(", ");
  const [p50, p99] = [p50Us, p99Us].map((us) => (us / 1000).toFixed(2));
  return `${Math.round(requests / seconds)}/s, p50 ${p50} ms, p99 ${p99} ms, µs per request: ${cpu}`;
}

/** The same echo through every system, in two sizes and four degrees of concurrency. */
import {
  type Case,
  casesOf,
  compare,
  type Comparison,
  comparisonPlot,
  comparisonTables,
} from "./comparison.ts";
import { type Outcome, outcomeOf } from "./comparison.ts";
import { short } from "../statistics.ts";
import type { Goal, Scenario } from "./scenario.ts";

export const cases: readonly Case[] = [64, 8192].flatMap((bytes) => {
  const size = bytes === 64 ? "64 B" : "8 KiB";
  return [
    ...[1, 64, 256].map((outstanding) => ({
      title: `${size}, ${outstanding} outstanding`,
      ...{ bytes, clients: 1, outstanding },
    })),
    { title: `${size}, 16 clients × 16`, bytes, clients: 16, outstanding: 16 },
  ];
});

export const throughput: Scenario<Comparison> = {
  name: "throughput",
  title: "Throughput and latency",
  run: (session, peers) => compare(session, peers, cases.filter(({ title }) => session.wants(title))),
  section(comparison) {
    const plots = ["64 B", "8 KiB"].flatMap((size) => {
      const titles = casesOf(comparison).filter((each) => each.startsWith(size));
      if (titles.length === 0) return [];
      const title = `Echo of ${size}`;
      const name = `throughput-${size.replace(" ", "").toLowerCase()}`;
      return [{ name, title, svg: comparisonPlot(comparison, title, titles) }];
    });
    return {
      text:
        `A body goes from one load process through the system to one of two workers and comes back, as often as
the load's closed loop allows: each reply is followed by the next request. The loop is the same for every system with a
client library; HAProxy is loaded by wrk, which is written in C and costs far less, with as many connections. Every
measurement has a fresh set of processes; shown are medians of the rounds.

${comparisonTables(comparison)}`,
      plots,
      goals: goalsOf(comparison),
    };
  },
};

type Reader = (outcome: Outcome) => number;

/** Ratios within the run. A goal whose parts were not measured is left out. */
function goalsOf(comparison: Comparison): Goal[] {
  const speed: Reader = ({ perSecond }) => perSecond;
  const p50: Reader = ({ p50Ms }) => p50Ms;
  const goals: Goal[] = [];
  const compareTo = (
    other: string,
    title: string,
    read: Reader,
    goal: string,
    bound: number,
    most = false,
  ) => {
    const [ours, theirs] = ["sqwish", other].map((peer) => outcomeOf(comparison, peer, title));
    if (!ours || !theirs) return;
    const ratio = read(ours) / read(theirs);
    const measured = `${short(ratio)} × (${short(read(ours))} to ${short(read(theirs))})`;
    goals.push({ work: title, goal, measured, reached: most ? ratio <= bound : ratio >= bound });
  };
  compareTo("nats", "64 B, 64 outstanding", speed, "at least 3 × NATS", 3);
  compareTo("nats", "64 B, 256 outstanding", speed, "at least 6 × NATS", 6);
  compareTo("nats", "8 KiB, 64 outstanding", speed, "at least 1.5 × NATS", 1.5);
  // Two medians of the same thing differ by this much: what is within it is level.
  compareTo("haproxy", "8 KiB, 64 outstanding", speed, "level with HAProxy (at least 0.95 ×)", 0.95);
  for (const size of ["64 B", "8 KiB"]) {
    compareTo("nats", `${size}, 1 outstanding`, p50, "p50 at most 1.2 × NATS", 1.2, true);
  }
  for (const outstanding of [64, 256]) {
    compareTo("relay", `64 B, ${outstanding} outstanding`, speed, "at least half of the bare relay", 0.5);
  }
  const full = outcomeOf(comparison, "sqwish", "64 B, 256 outstanding");
  if (full) {
    goals.push({
      work: "manager's CPU, 64 B, 256 outstanding",
      goal: "under 5 µs per request",
      measured: `${short(full.brokerUs)} µs`,
      reached: full.brokerUs < 5,
    });
  }
  return goals;
}

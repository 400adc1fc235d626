/** What Sqwish shall reach, as ratios within one run, and whether it did. Pure. */
import type { Results } from "./results.ts";
import { median, type Summary, summaryOf } from "./summary.ts";

export interface Goal {
  work: string;
  goal: string;
  /** In words; undefined when it was not measured. */
  found?: string;
  reached?: boolean;
}

type Pick = (summary: Summary) => number | undefined;
const rate: Pick = ({ perSecond }) => perSecond;
const p50: Pick = ({ p50Us }) => p50Us;

export function goalsOf(results: Results): Goal[] {
  const ratio = (title: string, peer: string, pick: Pick, part: "throughput" | "http" = "throughput") => {
    const samples = results[part]?.found;
    const [ours, theirs] = [part === "http" ? "sqwish-http" : "sqwish", peer]
      .map((name) => summaryOf(samples, name, title))
      .map((summary) => summary && pick(summary));
    return ours === undefined || !theirs ? undefined : ours / theirs;
  };
  const [small, large] = ["64 B", "8 KiB"];
  const at = (size: string, outstanding: number) => `${size}, ${outstanding} outstanding`;
  return [
    atLeast(`${at(small, 64)}, TLS`, 3, "NATS", ratio(at(small, 64), "nats", rate)),
    atLeast(`${at(small, 256)}, TLS`, 6, "NATS", ratio(at(small, 256), "nats", rate)),
    atLeast(`${at(large, 64)}, TLS`, 1.5, "NATS", ratio(at(large, 64), "nats", rate)),
    atLeast(`${at(large, 64)}, TLS`, 1, "HAProxy", ratio(at(large, 64), "haproxy", rate)),
    atMost("p50 of 64 B, 1 outstanding", 1.2, "NATS", ratio(at(small, 1), "nats", p50)),
    atMost("p50 of 8 KiB, 1 outstanding", 1.2, "NATS", ratio(at(large, 1), "nats", p50)),
    atLeast(at(small, 64), 0.5, "bare relay", ratio(at(small, 64), "relay", rate)),
    atLeast(at(small, 256), 0.5, "bare relay", ratio(at(small, 256), "relay", rate)),
    atLeast("HTTP, 64 B, 64 outstanding", 0.8, "HAProxy", ratio(at(small, 64), "haproxy", rate, "http")),
    ...resourceGoals(results),
    mixedGoal(results),
  ];
}

function resourceGoals(results: Results): Goal[] {
  const cpu = summaryOf(results.throughput?.found, "sqwish", "64 B, 256 outstanding")?.brokerUs;
  const points = results.idle?.found;
  const memoryAt = (connections: number) => points?.find((point) => point.connections === connections)?.rssMb;
  const [none, thousand] = [memoryAt(0), memoryAt(1000)];
  const grown = none === undefined || thousand === undefined ? undefined : thousand - none;
  const queued = results.queued?.found;
  const waiting = queued?.requests === 100_000 ? queued.waiting.rssMb - queued.before.rssMb : undefined;
  return [
    below("manager CPU per request, 64 B, 256 outstanding", 5, "µs", cpu),
    below("manager memory, idle", 75, "MiB", none),
    below("manager memory, more with 1,000 idle connections", 40, "MiB", grown),
    below("manager memory, more with 100,000 waiting requests", 120, "MiB", waiting),
  ];
}

function mixedGoal(results: Results): Goal {
  const ratios = results.mixed?.found.map(({ quiet, beside }) => beside.p99Us / quiet.p99Us);
  const found = ratios && median(ratios);
  return {
    work: "p99 of small requests while another client sends 8 MiB bodies",
    goal: "under 3 × its quiet p99",
    found: found === undefined ? undefined : times(found),
    reached: found === undefined ? undefined : found < 3,
  };
}

function atLeast(work: string, bound: number, peer: string, found: number | undefined): Goal {
  return {
    ...{ work, goal: `at least ${bound} × ${peer}` },
    found: found === undefined ? undefined : times(found),
    reached: found === undefined ? undefined : found >= bound,
  };
}

function atMost(work: string, bound: number, peer: string, found: number | undefined): Goal {
  return {
    ...{ work, goal: `at most ${bound} × ${peer}` },
    found: found === undefined ? undefined : times(found),
    reached: found === undefined ? undefined : found <= bound,
  };
}

function below(work: string, bound: number, unit: string, found: number | undefined): Goal {
  return {
    ...{ work, goal: `under ${bound} ${unit}` },
    found: found === undefined ? undefined : `${found.toFixed(1)} ${unit}`,
    reached: found === undefined ? undefined : found < bound,
  };
}

function times(ratio: number): string {
  return `${ratio.toFixed(2)} ×`;
}

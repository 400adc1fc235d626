/** The page's sections: what each scenario found, as words, tables and pictures. Pure. */
import { peers as allPeers, titleOf } from "./peers/all.ts";
import { barPlot, linePlot, shortNumber } from "./plot.ts";
import type { Findings } from "./results.ts";
import type { Sample } from "./scenarios/compare.ts";
import type { Dimension } from "./scenarios/scaling.ts";
import { growth } from "./scenarios/soak.ts";
import { median, type Summary, summaryOf } from "./summary.ts";

export interface Section {
  markdown: string;
  /** File name → SVG. */
  pictures: Record<string, string>;
}

export function comparisonSection(samples: Findings["throughput"]): Section {
  const { peers, cases } = namesIn(samples);
  const pictures: Record<string, string> = {};
  for (const [size, file] of [["64 B", "throughput-64b.svg"], ["8 KiB", "throughput-8kib.svg"]]) {
    const groups = cases.filter((title) => title.startsWith(size)).map((title) => ({
      name: title.slice(size.length + 2).replace(" outstanding", ""),
      values: peers.map((peer) => summaryOf(samples, peer, title)?.perSecond),
    }));
    if (groups.length === 0) continue;
    const series = peers.map((peer) => titleOf(peer) ?? peer);
    pictures[file] = barPlot({ title: `Echo of ${size}`, unit: "requests per second", groups, series });
  }
  return {
    markdown: `## Throughput and latency

CPU is µs per request: of the broker (Sqwish's manager), and of all processes together, the load generator included.
Memory is the broker's at the end, RSS and PSS. With 16 clients there is one load process with 16 connections.

${embed(pictures)}
${cases.map((title) => `### ${title}\n\n${comparisonTable(samples, title)}`).join("\n")}`,
    pictures,
  };
}

export function httpSection(samples: Findings["http"]): Section {
  const { cases } = namesIn(samples);
  return {
    markdown: `## Over HTTP

\`POST /v1/invoke/…\` with a session's token beside HAProxy in front of bare HTTP servers, both over TLS, loaded by
wrk over 64 kept connections.

${cases.map((title) => `### HTTP, ${title}\n\n${comparisonTable(samples, title)}`).join("\n")}`,
    pictures: {},
  };
}

export function mixedSection(rounds: Findings["mixed"]): Section {
  const rows = rounds.map(({ quiet, beside, large }, index) => [
    ...[String(index + 1), ms(quiet.p50Us), ms(quiet.p99Us), ms(beside.p50Us), ms(beside.p99Us)],
    ...[`${(beside.p99Us / quiet.p99Us).toFixed(2)} ×`, (large.requests / large.seconds).toFixed(1)],
  ]);
  const head = ["round", "p50 alone", "p99 alone", "p50 beside", "p99 beside", "p99 ratio", "large bodies/s"];
  return {
    markdown: `## Small requests beside large ones

One client sends 64 B with 16 outstanding, alone and while another sends 8 MiB bodies one after the other, each of
which comes back whole.

${table(head, rows)}`,
    pictures: {},
  };
}

export function idleSection(points: Findings["idle"]): Section {
  const rows = points.map(({ connections, rssMb, pssMb, cpuPercent }) => [
    ...[connections.toLocaleString("en"), mib(rssMb), mib(pssMb), `${cpuPercent.toFixed(1)} %`],
    connections === 0 ? "" : `${((rssMb - points[0].rssMb) * 1024 / connections).toFixed(1)} KiB`,
  ]);
  const pictures = {
    "connections.svg": linePlot({
      ...{ title: "Manager with idle connections", xTitle: "connections", yTitle: "MiB" },
      logarithmic: false,
      series: [
        { name: "RSS", points: points.map(({ connections, rssMb }) => [connections, rssMb]) },
        { name: "PSS", points: points.map(({ connections, pssMb }) => [connections, pssMb]) },
      ],
    }),
  };
  return {
    markdown: `## An idle manager

Clients of the library that are connected and do nothing; their keepalive goes on.

${embed(pictures)}
${table(["connections", "RSS", "PSS", "CPU of one core", "RSS per connection"], rows)}`,
    pictures,
  };
}

export function queuedSection({ requests, before, waiting, bytesEach }: Findings["queued"]): Section {
  const rows = [
    ["0", mib(before.rssMb), mib(before.pssMb), ""],
    [
      ...[requests.toLocaleString("en"), mib(waiting.rssMb), mib(waiting.pssMb)],
      `${Math.round(bytesEach)} B`,
    ],
  ];
  return {
    markdown: `## Waiting requests

The manager's memory with requests of 64 B that wait for a busy replica.

${table(["waiting", "RSS", "PSS", "RSS per request"], rows)}`,
    pictures: {},
  };
}

const dimensions: Record<Dimension, string> = {
  agents: "agents",
  endpoints: "endpoints",
  queued: "waiting requests",
};

export function scalingSection(found: Findings["scaling"]): Section {
  const names = Object.keys(dimensions) as Dimension[];
  const pictures = {
    "scaling.svg": linePlot({
      ...{
        title: "Dispatcher alone",
        xTitle: "agents, endpoints or waiting requests",
        yTitle: "µs per request",
      },
      logarithmic: true,
      series: names.map((name) => ({
        name: dimensions[name],
        points: found[name].map(({ size, nsPerRequest }) => [size, median(nsPerRequest) / 1000]),
      })),
    }),
  };
  const rows = names.flatMap((name) =>
    found[name].map(({ size, nsPerRequest }) => [
      ...[dimensions[name], size.toLocaleString("en"), (median(nsPerRequest) / 1000).toFixed(2)],
      nsPerRequest.map((ns) => (ns / 1000).toFixed(2)).join(", "),
    ])
  );
  return {
    markdown: `## As the cluster grows

The manager's dispatcher alone, over sinks in memory: a request admitted, scheduled, and its reply passed on. Two
agents, 10 endpoints and nothing waiting, but for what the row says.

${embed(pictures)}
${table(["of", "how many", "µs per request", "rounds"], rows)}`,
    pictures,
  };
}

export function runnerSection({ startMs, memoryEach }: Findings["runner"]): Section {
  const [median50, slowest] = [median(startMs), Math.max(...startMs)];
  return {
    markdown: `## Start of a runner

From an agent's order to run a replica until it is ready, ${startMs.length} in a row: median
${median50.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms. Each then takes ${
      mib(memoryEach.pssMb)
    } of its own and
its share of what all have in common (PSS; RSS ${mib(memoryEach.rssMb)}).
`,
    pictures: {},
  };
}

export function soakSection({ perSecond, points, load }: Findings["soak"]): Section {
  const roles = Object.keys(points[0]?.memoryMb ?? {});
  const names: Record<string, string> = { broker: "manager", agents: "agents", workers: "runners" };
  const pictures = {
    "soak.svg": linePlot({
      ...{ title: "Memory at half load", xTitle: "minutes", yTitle: "MiB of PSS" },
      logarithmic: false,
      series: roles.map((role) => ({
        name: names[role] ?? role,
        points: points.map(({ minutes, memoryMb }) => [minutes, memoryMb[role]]),
      })),
    }),
  };
  const grown = growth(points);
  const rows = roles.map((role) => [
    ...[names[role] ?? role, mib(points[0].memoryMb[role]), mib(points.at(-1)!.memoryMb[role])],
    role in grown ? `${(grown[role] * 100).toFixed(1)} %` : "",
  ]);
  return {
    markdown: `## Soak

${Math.round(points.at(-1)?.minutes ?? 0)} minutes at ${
      shortNumber(perSecond)
    } requests of 64 B per second, half of
what the cluster could do with 64 outstanding: ${load.answered.toLocaleString("en")} answered,
${load.failed.toLocaleString("en")} failed, p50 ${ms(load.p50Us)}, p99 ${ms(load.p99Us)}.

${embed(pictures)}
${table(["", "at the start", "at the end", "growth, second to last quarter"], rows)}`,
    pictures,
  };
}

function comparisonTable(samples: readonly Sample[], title: string): string {
  const rows = namesIn(samples).peers.flatMap((peer) => {
    const summary = summaryOf(samples, peer, title);
    return summary ? [rowOf(titleOf(peer) ?? peer, summary)] : [];
  });
  const head = ["", "requests/s", "rounds", "p50", "p99", "broker CPU", "all CPU", "broker memory"];
  const ours = summaryOf(samples, "sqwish", title) ?? summaryOf(samples, "sqwish-http", title);
  return table(head, rows) + (ours ? `\n${byProcess(ours)}\n` : "");
}

/** Where Sqwish's time goes. */
function byProcess({ byRoleUs: { broker, agents, workers, client } }: Summary): string {
  const shares = Object.entries({ manager: broker, agents, runners: workers, "load generator": client });
  return `Sqwish's CPU by process: ${shares.map(([name, us]) => `${name} ${us.toFixed(1)} µs`).join(", ")}.`;
}

function rowOf(title: string, summary: Summary): string[] {
  const { perSecond, perSecondRange, p50Us, p99Us, brokerUs, allUs, brokerRssMb, brokerPssMb } = summary;
  return [
    ...[title, shortNumber(perSecond), perSecondRange.map(shortNumber).join(" to "), ms(p50Us), ms(p99Us)],
    brokerUs === undefined ? "" : `${brokerUs.toFixed(1)} µs`,
    `${allUs.toFixed(1)} µs`,
    brokerRssMb === undefined ? "" : `${Math.round(brokerRssMb)} / ${Math.round(brokerPssMb!)} MiB`,
  ];
}

function namesIn(samples: readonly Sample[]): { peers: string[]; cases: string[] } {
  const byOrder = (a: string, b: string) => placeOf(a) - placeOf(b);
  return {
    // Rounds begin from either end, the tables always from the same.
    peers: [...new Set(samples.map(({ peer }) => peer))].sort(byOrder),
    cases: [...new Set(samples.map((sample) => sample.case))],
  };
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line), ""].join("\n");
}

function embed(pictures: Record<string, string>): string {
  return Object.entries(pictures)
    .map(([name, svg]) => `![${/<title>(.*)<\/title>/.exec(svg)![1]}](benchmarks/${name})\n`)
    .join("\n");
}

function ms(us: number): string {
  return `${(us / 1000).toPrecision(3)} ms`;
}

function mib(value: number): string {
  return `${value.toFixed(1)} MiB`;
}

function placeOf(peer: string): number {
  return allPeers.findIndex(({ name }) => name === peer);
}

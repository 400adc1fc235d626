/** `POST /v1/invoke` beside what HAProxy does in front of bare HTTP servers, both loaded by wrk. */
import { haproxy } from "../peers/haproxy/peer.ts";
import { sqwishHttp } from "../peers/sqwish/peer.ts";
import { short } from "../statistics.ts";
import { type Case, casesOf, compare, type Comparison, comparisonPlot } from "./comparison.ts";
import { comparisonTables, outcomeOf } from "./comparison.ts";
import type { Goal, Scenario } from "./scenario.ts";

const cases: readonly Case[] = [
  { title: "64 B, 64 connections", bytes: 64, clients: 1, outstanding: 64 },
  { title: "8 KiB, 64 connections", bytes: 8192, clients: 1, outstanding: 64 },
];

export const http: Scenario<Comparison> = {
  name: "http",
  title: "Over HTTP",
  async run(session) {
    const present = await session.installed([haproxy, sqwishHttp]);
    return await compare(session, present, cases.filter(({ title }) => session.wants(title)));
  },
  section(comparison) {
    const title = "HTTP with wrk, 64 connections";
    return {
      text:
        `The same cluster, asked by \`POST /v1/invoke/bench/echo\` with \`Authorization: Basic\`, kept alive.

${comparisonTables(comparison)}`,
      plots: [{ name: "http", title, svg: comparisonPlot(comparison, title, casesOf(comparison)) }],
      goals: goalsOf(comparison),
    };
  },
};

function goalsOf(comparison: Comparison): Goal[] {
  const [ours, theirs] = ["sqwish-http", "haproxy"].map((peer) =>
    outcomeOf(comparison, peer, cases[0].title)?.perSecond
  );
  if (!ours || !theirs) return [];
  return [{
    work: "HTTP invoke with wrk, 64 B, 64 connections",
    goal: "at least 0.8 × HAProxy in front of bare HTTP workers",
    measured: `${short(ours / theirs)} × (${short(ours)} to ${short(theirs)})`,
    reached: ours / theirs >= 0.8,
  }];
}

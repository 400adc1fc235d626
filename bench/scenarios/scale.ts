/** What a request costs the manager's core as agents, endpoints and the queue grow; each figure by a fresh process. */
import { join } from "node:path";
import { linePlot } from "../plot.ts";
import { runToEnd, type Session, withContext } from "../session.ts";
import type { SimulatedJob } from "../simulated.ts";
import { median, short, table } from "../statistics.ts";
import type { Scenario } from "./scenario.ts";

type Dimension = "agents" | "endpoints" | "queued";

interface Point {
  dimension: Dimension;
  value: number;
  ns: number;
}

const base: SimulatedJob = { agents: 2, endpoints: 10, queued: 0, requests: 200_000 };

const steps: Record<Dimension, number[]> = {
  agents: [1, 2, 5, 10, 20, 50, 100],
  endpoints: [10, 100, 1000, 10_000],
  queued: [10, 100, 1000, 10_000, 100_000],
};

const titles: Record<Dimension, string> = {
  agents: "agents",
  endpoints: "endpoints",
  queued: "waiting requests",
};

export const scale: Scenario<Point[]> = {
  name: "scale",
  title: "Cost per request as the cluster grows",
  async run(session) {
    const points: Point[] = [];
    for (let round = 1; round <= session.rounds; round++) {
      for (const dimension of Object.keys(steps) as Dimension[]) {
        if (!session.wants(dimension)) continue;
        const values = session.quick ? steps[dimension].slice(0, 2) : steps[dimension];
        for (const value of round % 2 === 1 ? values : values.toReversed()) {
          points.push(await measurePoint(session, dimension, value));
        }
      }
    }
    return points;
  },
  section(points) {
    const lines = (Object.keys(steps) as Dimension[]).map((dimension) => ({
      dimension,
      series: titles[dimension],
      points: mediansOf(points, dimension),
    })).filter((line) => line.points.length > 0);
    const tables = lines.map((line) => {
      const row = line.points.map(({ y }) => short(y));
      return table([line.series, ...line.points.map(({ x }) => String(x))], [["µs per request", ...row]]);
    });
    return {
      text:
        `The manager's own routes, dispatcher, queue and metrics with agents and clients simulated in memory, so that
nothing but the decisions is measured: no network, no encryption. One thing grows at a time, from 2 agents, 10 endpoints
and nothing waiting.

${tables.join("\n\n")}`,
      plots: lines.length === 0 ? [] : [{
        name: "scale",
        title: "Cost per request as the cluster grows",
        svg: linePlot("Cost per request in the core", { x: "how many", y: "µs", logX: true }, lines),
      }],
      goals: [],
    };
  },
};

async function measurePoint(session: Session, dimension: Dimension, value: number): Promise<Point> {
  return await withContext(session, async (context) => {
    const module = join(import.meta.dirname!, "..", "simulated.ts");
    const command = [Deno.execPath(), "run", "--quiet", "-A", module];
    const job = { ...base, [dimension]: value, ...(session.quick ? { requests: 2000 } : {}) };
    const { ns } = JSON.parse(await runToEnd(context, "simulated", command, [JSON.stringify(job)]));
    session.say(`${value} ${titles[dimension]}: ${(ns / 1000).toFixed(2)} µs per request`);
    return { dimension, value, ns };
  });
}

function mediansOf(points: readonly Point[], dimension: Dimension): { x: number; y: number }[] {
  const found = points.filter((point) => point.dimension === dimension);
  const values = [...new Set(found.map(({ value }) => value))].sort((a, b) => a - b);
  return values.map((x) => ({
    x,
    y: median(found.filter(({ value }) => value === x).map(({ ns }) => ns / 1000)),
  }));
}

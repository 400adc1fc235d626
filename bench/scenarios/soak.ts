/** An hour at half of what the cluster can do: memory must not grow, and no request may fail. */
import { join } from "node:path";
import { memoryByRole, type Processes, type RoleMemory } from "../measure.ts";
import { sqwish } from "../peers/sqwish/peer.ts";
import { linePlot } from "../plot.ts";
import { pause, runLoad, runToEnd, type Session, withPeer } from "../session.ts";
import { short, slope, table } from "../statistics.ts";
import type { Goal, Scenario } from "./scenario.ts";

interface Reading {
  minutes: number;
  memory: Record<string, RoleMemory>;
}

export interface SoakLoad {
  requests: number;
  failed: number;
  /** By error code. */
  failures: Record<string, number>;
  /** Came due when as many were under way as a connection takes: something stood still for half a second or more. */
  unsent: number;
  seconds: number;
  p50Us: number;
  p99Us: number;
}

interface SoakResult {
  perSecond: number;
  load: SoakLoad;
  readings: Reading[];
}

const outstanding = 64;
/** Heaps and caches reach their size in this share of the time. */
const warmShare = 0.25;
/** Less can't be told from noise in an hour. */
const flatMbPerHour = 5;
const goalSecondsMin = 1800;

export const soak: Scenario<SoakResult> = {
  name: "soak",
  title: "Soak at half load",
  onlyByName: true,
  run: (session) =>
    withPeer(session, sqwish, async ({ target, processes }, context) => {
      if (target.kind !== "library") throw new Error("The soak asks through the client library");
      const { client, address } = target;
      const job = { client, address, bytes: 64, clients: 1, outstanding };
      const most = await runLoad(session, context, { ...job, processes });
      const perSecond = Math.max(1, Math.round(most.requests / most.seconds / 2));
      session.say(`half load is ${perSecond}/s, for ${short(session.soakMs / 60_000)} minutes`);
      const resultFile = join(context.folder, "soak.json");
      const command = [
        Deno.execPath(),
        "run",
        "--quiet",
        "-A",
        join(import.meta.dirname!, "..", "steady.ts"),
      ];
      const load = runToEnd(context, "steady", command, [
        JSON.stringify({ ...job, perSecond, durationMs: session.soakMs, resultFile }),
      ]);
      load.catch(() => {});
      const readings = await readMemory(session, processes, load);
      await load;
      return { perSecond, load: JSON.parse(await Deno.readTextFile(resultFile)), readings };
    }),
  section(result) {
    const { perSecond, load, readings } = result;
    const roles = Object.keys(readings[0].memory);
    const growth = growthOf(readings);
    const lines = roles.map((series) => ({
      series,
      points: readings.map(({ minutes, memory }) => ({ x: minutes, y: memory[series].pssMb })),
    }));
    const [first, last] = [readings[0], readings[readings.length - 1]];
    const rows = roles.map((role) => [
      ...[role, `${first.memory[role].processes} to ${last.memory[role].processes}`],
      ...[short(first.memory[role].pssMb), short(last.memory[role].pssMb), short(growth[role])],
    ]);
    const failures = Object.entries(load.failures).map(([code, count]) => `${count} ${code}`);
    const unsent = load.unsent === 0
      ? ""
      : ` Another ${load.unsent} came due while the generator had as many under way as a connection takes, and were not sent.`;
    return {
      text: `${
        short(load.seconds / 60)
      } minutes at ${perSecond} requests a second, half of what was reached just before;
${load.requests} requests, ${load.failed} of them failed${
        failures.length > 0 ? ` (${failures.join(", ")})` : ""
      }; p50 ${short(load.p50Us / 1000)} ms, p99 ${short(load.p99Us / 1000)} ms.${unsent}
Growth is of one process, the slope of a line through the readings (PSS) after the first quarter.

${table(["", "processes", "first MiB", "last MiB", "MiB per process and hour"], rows)}`,
      plots: [{
        name: "soak",
        title: "Memory at half load",
        svg: linePlot("Memory at half load", { x: "minutes", y: "MiB (PSS)" }, lines),
      }],
      goals: goalsOf(result, growth),
    };
  },
};

async function readMemory(
  session: Session,
  processes: Processes,
  load: Promise<unknown>,
): Promise<Reading[]> {
  const readings: Reading[] = [];
  const startedMs = performance.now();
  let over = false;
  const ended = load.finally(() => over = true).catch(() => {});
  const periodMs = Math.max(200, session.soakMs / 120);
  while (!over) {
    readings.push({ minutes: (performance.now() - startedMs) / 60_000, memory: memoryByRole(processes) });
    await Promise.race([pause(session, periodMs), ended]);
  }
  return readings;
}

/** MiB per process and hour, by role. */
function growthOf(readings: readonly Reading[]): Record<string, number> {
  const late = readings.slice(Math.floor(readings.length * warmShare));
  const roles = Object.keys(readings[0].memory);
  const each = ({ pssMb, processes }: RoleMemory) => pssMb / Math.max(1, processes);
  return Object.fromEntries(
    roles.map((role) => [
      role,
      slope(late.map(({ minutes, memory }) => ({ x: minutes / 60, y: each(memory[role]) }))),
    ]),
  );
}

/** A short run only shows heaps that find their size. */
function goalsOf({ load }: SoakResult, growth: Record<string, number>): Goal[] {
  if (load.seconds < goalSecondsMin) return [];
  const most = Math.max(...Object.values(growth));
  return [{
    work: `${short(load.seconds / 60)} minutes at half load`,
    goal: `no process grows by ${flatMbPerHour} MiB per hour, no request fails`,
    measured: `${short(most)} MiB per hour, ${load.failed} failed, ${load.unsent} not sent`,
    reached: most < flatMbPerHour && load.failed === 0,
  }];
}

/** Every scenario by its name, and how much of each is done: in full, or just enough to see that it works. */
import { installed, peers } from "../peers/all.ts";
import type { Findings, ScenarioName } from "../results.ts";
import type { Session } from "../session.ts";
import { type Case, compare } from "./compare.ts";
import { idle } from "./idle.ts";
import { mixed } from "./mixed.ts";
import { queued } from "./queued.ts";
import { runnerStart } from "./runner_start.ts";
import { type Dimension, scaling } from "./scaling.ts";
import { soak } from "./soak.ts";

export interface Scale {
  cases: readonly Case[];
  httpCases: readonly Case[];
  /** Idle connections, growing. */
  connections: readonly number[];
  /** Requests that wait. */
  queued: number;
  sizes: Readonly<Record<Dimension, readonly number[]>>;
  /** Requests per measurement of the dispatcher alone. */
  dispatches: number;
  runners: number;
  soakMinutes: number;
}

const sizesInBytes = { "64 B": 64, "8 KiB": 8192 };

export const fullScale: Scale = {
  cases: Object.keys(sizesInBytes).flatMap((size) => [
    ...[1, 64, 256].map((outstanding) => oneClient(size as keyof typeof sizesInBytes, outstanding)),
    {
      ...{
        title: `${size}, 16 clients × 16 outstanding`,
        bytes: sizesInBytes[size as keyof typeof sizesInBytes],
      },
      ...{ clients: 16, outstanding: 16 },
    },
  ]),
  httpCases: [oneClient("64 B", 64), oneClient("8 KiB", 64)],
  connections: [0, 100, 1000, 5000],
  queued: 100_000,
  sizes: {
    agents: [1, 3, 10, 30, 100],
    endpoints: [10, 100, 1000, 10_000],
    queued: [10, 100, 1000, 10_000, 100_000],
  },
  dispatches: 200_000,
  runners: 20,
  soakMinutes: 60,
};

/** For tests: every part of every scenario, in seconds. */
export const smokeScale: Scale = {
  cases: [oneClient("64 B", 64)],
  httpCases: [oneClient("64 B", 64)],
  connections: [0, 5],
  queued: 50,
  sizes: { agents: [1, 10], endpoints: [10, 1000], queued: [10, 1000] },
  dispatches: 2000,
  runners: 1,
  soakMinutes: 0.04,
};

export const scenarios: {
  [Name in ScenarioName]: (
    session: Session,
    scale: Scale,
    wanted: readonly string[],
  ) => Promise<Findings[Name]>;
} = {
  throughput: async (session, scale, wanted) =>
    await compare(session, await installed(among(wanted, throughputPeers), session), scale.cases),
  http: async (session, scale, wanted) =>
    await compare(session, await installed(among(wanted, httpPeers), session), scale.httpCases),
  mixed: (session) => mixed(session),
  idle: (session, scale) => idle(session, scale.connections),
  queued: (session, scale) => queued(session, scale.queued),
  scaling: (session, scale) => scaling(session, scale.sizes, scale.dispatches),
  runner: (session, scale) => runnerStart(session, scale.runners),
  soak: (session, scale) => soak(session, scale.soakMinutes),
};

const throughputPeers = peers.filter(({ name }) => name !== "sqwish-http");
const httpPeers = peers.filter(({ name }) => name === "haproxy" || name === "sqwish-http");

/** An empty list of names means all. */
function among(wanted: readonly string[], all: typeof peers): typeof peers {
  return wanted.length === 0 ? all : all.filter(({ name }) => wanted.includes(name));
}

function oneClient(size: keyof typeof sizesInBytes, outstanding: number): Case {
  return {
    title: `${size}, ${outstanding} outstanding`,
    ...{ bytes: sizesInBytes[size], clients: 1, outstanding },
  };
}

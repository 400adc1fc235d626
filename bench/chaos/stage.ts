/**
 * A cluster of compiled programs to do harm to: a replicaSet that notes each of its runs, load, and what the manager
 * noticed. Everything is gone after `withStage`, whatever happened on it.
 */
import { join } from "node:path";
import type { Sqwish } from "../../client.ts";
import type { EventView } from "../../lib/protocol/views.ts";
import { type Cluster, type ClusterOptions, startCluster } from "../../tests/support/cluster.ts";
import { deployed, overviewOf, patienceMs, setOf } from "../../tests/support/deploying.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { countRuns } from "./ledger.ts";
import { type LoadOptions, SteadyLoad } from "./steady_load.ts";

export interface StageOptions extends Pick<ClusterOptions, "under" | "host" | "advertise" | "managerFolder"> {
  /** 3 when absent. */
  agents?: number;
  /** Requests at once per replica; 8 when absent. */
  concurrency?: number;
  queueMax?: number;
}

/** The endpoint under load. */
export const endpoint = "notes/work";

/** Notes the run before it works, as a module with an effect on the world would. */
const module = `import type { Context } from "sqwish";
export async function work({ id, ms }: { id: string; ms: number }, ctx: Context) {
  Deno.writeTextFileSync(ctx.env.LEDGER, id + "\\n", { append: true });
  await new Promise((done) => setTimeout(done, ms));
  return { id, attempt: ctx.attempt };
}
export const spin = (ms: number) => { for (const end = Date.now() + ms; Date.now() < end;); };
`;

export class Stage {
  readonly cluster: Cluster;
  readonly sqwish: Sqwish;
  readonly #ledger: string;
  readonly #agents: number;
  #loads = 0;

  constructor(cluster: Cluster, sqwish: Sqwish, ledger: string, agents: number) {
    this.cluster = cluster;
    this.sqwish = sqwish;
    this.#ledger = ledger;
    this.#agents = agents;
  }

  /** Ids differ from load to load. */
  load(options: Partial<Omit<LoadOptions, "prefix">> = {}, sqwish = this.sqwish): SteadyLoad {
    return new SteadyLoad(sqwish, {
      ...{ endpoint, perSecond: 150, workMs: 20, timeoutMs: 30_000, countMax: Infinity },
      prefix: `${++this.#loads}-`,
      ...options,
    });
  }

  /** How often each request has run, by id. */
  async runs(): Promise<Map<string, number>> {
    return countRuns(await Deno.readTextFile(this.#ledger));
  }

  /** All replicas are ready. */
  async whole(): Promise<void> {
    await eventually("every replica is ready", async () => {
      return (await setOf(this.sqwish, "notes"))?.ready === this.#agents;
    }, 2 * patienceMs);
  }

  /** The first event of this kind about `subject` from `sinceMs` on (wall clock of the manager). */
  async event(kind: string, subject: string, sinceMs: number): Promise<EventView> {
    return await eventually(`an event ${kind} of ${subject}`, async () => {
      const { json } = await this.sqwish.call("GET", `/v1/events?limit=1000&kind=${kind}`);
      const { events } = json as { events: EventView[] };
      return events.find((event) => event.subject === subject && event.atMs >= sinceMs);
    }, patienceMs);
  }

  async outstandingOn(agent: string): Promise<number> {
    return (await overviewOf(this.sqwish)).agents.find(({ name }) => name === agent)?.outstanding ?? 0;
  }

  /** The processes that run an agent's modules. */
  runnersOf(agent: string): number[] {
    return childrenOf(this.cluster.agents.get(agent)!.pid);
  }
}

/** Direct children of a process. */
export function childrenOf(pid: number): number[] {
  const tasks = [...Deno.readDirSync(`/proc/${pid}/task`)];
  return tasks.flatMap(({ name }) =>
    Deno.readTextFileSync(`/proc/${pid}/task/${name}/children`).split(" ").filter((text) => text !== "").map(
      Number,
    )
  );
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}

/** The programs to do it to: `dist/<this machine's target>`, or the folder that SQWISH_BINARIES names. */
export async function binariesFolder(): Promise<string> {
  const own = join(import.meta.dirname!, "../../dist", Deno.build.target);
  const folder = Deno.env.get("SQWISH_BINARIES") ?? own;
  for (const name of ["manager", "agent", "client"]) {
    await Deno.stat(join(folder, name)).catch((cause) => {
      throw new Error(
        `Faults are tried on compiled programs, ${folder} has no ${name}; run: deno task build ${Deno.build.target}`,
        { cause },
      );
    });
  }
  return folder;
}

/** Starts the stage, runs `work` on it, and ends it. */
export async function withStage<T>(options: StageOptions, work: (stage: Stage) => Promise<T>): Promise<T> {
  const { agents = 3, concurrency = 8, queueMax = 1000, ...rest } = options;
  const cluster = await startCluster({ ...rest, agents, binaries: await binariesFolder() });
  try {
    // Runners of a root agent are nobody's.
    await Deno.chmod(cluster.folder, 0o711);
    const ledger = join(cluster.folder, "ledger");
    await Deno.writeTextFile(ledger, "");
    await Deno.chmod(ledger, 0o666);
    const sqwish = await cluster.connect();
    await deployed(sqwish, "notes", { "notes.ts": module }, {
      ...{ replicas: "all", concurrency, queue: { max: queueMax } },
      ...{ permissions: { write: [ledger] }, env: { LEDGER: ledger } },
    });
    return await work(new Stage(cluster, sqwish, ledger, agents));
  } finally {
    await cluster.close();
  }
}

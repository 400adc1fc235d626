/**
 * A cluster of compiled programs to do harm to: a replicaSet that notes each of its runs, load, and what the manager
 * noticed. Everything is gone after `withStage`, whatever happened on it.
 */
import { join } from "node:path";
import type { Sqwish } from "../../client.ts";
import type { EventView } from "../../lib/protocol/views.ts";
import {
  type Cluster,
  type ClusterOptions,
  type Program,
  startCluster,
} from "../../tests/support/cluster.ts";
import { deployed, patienceMs, setOf } from "../../tests/support/deploying.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { childrenOf } from "../measure.ts";
import { type LoadOptions, type Sent, SteadyLoad } from "../steady_load.ts";
import { countRuns } from "./ledger.ts";

export interface StageOptions extends Pick<ClusterOptions, "under" | "host" | "advertise" | "managerFolder"> {
  /** 3 when absent. */
  agents?: number;
  /** Requests at once per replica; 8 when absent. */
  concurrency?: number;
  queueMax?: number;
}

/** Whoever waited sends at once when the manager is back, after as long as it takes to start: the queue must hold that. */
export const queueMaxLong = 10_000;

/** A load on `notes/work`: of which every second request is idempotent. */
export interface NoteOptions extends Partial<Pick<LoadOptions, "perSecond" | "timeoutMs" | "countMax">> {
  /** What the module waits before it answers; 20 when absent. */
  workMs?: number;
}

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
  /** The file that runs are noted in. */
  readonly ledger: string;
  readonly #agents: number;
  #loads: SteadyLoad[] = [];
  #loadNumber = 0;

  constructor(cluster: Cluster, sqwish: Sqwish, ledger: string, agents: number) {
    this.cluster = cluster;
    this.sqwish = sqwish;
    this.ledger = ledger;
    this.#agents = agents;
  }

  /** Ids differ from load to load. Its outcomes are judged with the round's. */
  load({ workMs = 20, ...options }: NoteOptions = {}, sqwish = this.sqwish): SteadyLoad {
    const load = new SteadyLoad(sqwish, {
      ...{ endpoint: "notes/work", perSecond: 150, timeoutMs: 30_000 },
      ...options,
      prefix: `${++this.#loadNumber}-`,
      input: (id) => ({ id, ms: workMs }),
      isIdempotent: (number) => number % 2 === 0,
    });
    this.#loads.push(load);
    return load;
  }

  /** Until each request has its outcome or can't get one any more. */
  async stopLoads(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
  }

  /** What all loads have sent since it was last asked. */
  takeSent(): Sent[] {
    return this.#loads.splice(0).flatMap(({ sent }) => sent);
  }

  /** Replies of this round so far that took at least `ms`, of requests sent from `sinceMs` on (wall clock). */
  repliesSlowerThan(ms: number, sinceMs: number): number {
    return this.#loads.flatMap(({ sent }) => sent).filter(({ sentAtMs, outcome }) =>
      sentAtMs >= sinceMs && outcome && !outcome.error && outcome.atMs - sentAtMs >= ms
    ).length;
  }

  /** How often each request has run, by id. */
  async runs(): Promise<Map<string, number>> {
    return countRuns(await Deno.readTextFile(this.ledger));
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

  /** The processes that run an agent's modules. */
  runnersOf(agent: string): number[] {
    return childrenOf(this.cluster.agents.get(agent)!.pid);
  }
}

/** The letter that `/proc` has for the state of a process: "T" for a stopped one; "" for none. */
export function stateOf(pid: number): string {
  try {
    // Behind the name, which is in brackets and may hold anything.
    return Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)![0];
  } catch {
    return "";
  }
}

/** Kills it at once; throws when it ended otherwise. */
export async function kill(program: Program): Promise<void> {
  const { signal } = await program.end("SIGKILL");
  if (signal !== "SIGKILL") throw new Error(`it must be killed, it had ended before:\n${program.output}`);
}

/** Stops these processes for so long; throws when one was not. */
export async function stopFor(pids: readonly number[], ms: number): Promise<void> {
  if (pids.length === 0) throw new Error("there must be a process to stop");
  for (const pid of pids) Deno.kill(pid, "SIGSTOP");
  try {
    await new Promise((resolve) => setTimeout(resolve, ms));
    const going = pids.filter((pid) => stateOf(pid) !== "T");
    if (going.length > 0) throw new Error(`the processes must be stopped, ${going.join(" ")} are not`);
  } finally {
    for (const pid of pids) Deno.kill(pid, "SIGCONT");
  }
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

/** Of each program, when something went wrong. */
const saidCharactersMax = 3000;

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
  } catch (thrown) {
    const programs = [["manager", cluster.manager] as const, ...cluster.agents];
    const said = programs.map(([name, { output }]) => `${name}:\n${output.slice(-saidCharactersMax)}`);
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`${message}\n${said.join("\n")}`, { cause: thrown });
  } finally {
    await cluster.close();
  }
}

/**
 * One manager and some agents on this machine, each a process of its own, on free ports of 127.0.0.1 and with its
 * data in one folder. `ready()` is the moment every replicaSet of the configuration has all its replicas.
 */
import { join } from "node:path";
import { connect, type Sqwish } from "../../client.ts";
import type { OverviewView } from "../../lib/protocol/views.ts";
import { type Program, ProgramGroup, type Programs } from "./programs.ts";

export interface AgentPlan {
  name: string;
  labels: Record<string, string>;
  /** Another way to run the agent than the group's. */
  command?: string[];
}

export interface DemoClusterOptions {
  programs: Programs;
  /** Where all state goes; the caller removes it. */
  folder: string;
  /** The configuration file. */
  configuration: string;
  agents: AgentPlan[];
  /** How long each step may take. An emulated machine needs more. */
  stepMsMax?: number;
  /** Aborts when nobody wants the cluster any more; waiting ends at once. */
  interrupted?: AbortSignal;
}

/** What the manager writes to its `--ready-file`. */
export interface ManagerAddress {
  url: string;
  port: number;
  adminPassword?: string;
  agentToken: string;
  clientToken: string;
}

export class DemoCluster {
  readonly manager: ManagerAddress;
  readonly sqwish: Sqwish;
  readonly #waiting: Waiting;

  private constructor(manager: ManagerAddress, sqwish: Sqwish, waiting: Waiting) {
    this.manager = manager;
    this.sqwish = sqwish;
    this.#waiting = waiting;
  }

  /** Starts everything; when a step fails, ends what was started and throws with the failed program's last lines. */
  static async start(options: DemoClusterOptions): Promise<DemoCluster> {
    const { programs, folder } = options;
    const group = new ProgramGroup();
    const waiting = { group, stepMsMax: options.stepMsMax ?? 90_000, interrupted: options.interrupted };
    let sqwish: Sqwish | undefined;
    try {
      const readyFile = join(folder, "ready.json");
      const data = join(folder, "manager");
      group.start("manager", programs.manager, [
        ...["--config", options.configuration, "--data", data],
        ...["--listen", "127.0.0.1:0", "--ready-file", readyFile],
      ]);
      const manager = await until("the manager to be ready", waiting, () => readAddress(readyFile));
      for (const agent of options.agents) {
        const labels = Object.entries(agent.labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
        group.start(agent.name, agent.command ?? programs.agent, [
          ...["--join", manager.agentToken, "--name", agent.name],
          ...["--data", join(folder, agent.name), ...labels],
        ]);
      }
      sqwish = await connect({ token: manager.clientToken, profileFile: false });
      const cluster = new DemoCluster(manager, sqwish, waiting);
      await until("the agents to join", waiting, async () => {
        const { agents } = await cluster.overview();
        return agents.filter((agent) => agent.health === "ready").length === options.agents.length;
      });
      return cluster;
    } catch (thrown) {
      await sqwish?.close();
      await group.endAll();
      throw thrown;
    }
  }

  async overview(): Promise<OverviewView> {
    return (await this.sqwish.call("GET", "/v1/overview")).json as OverviewView;
  }

  /** Resolves when every replicaSet has as many ready replicas as it wants. */
  async ready(): Promise<OverviewView> {
    return await until("every replica to be ready", this.#waiting, async () => {
      const overview = await this.overview();
      const failed = overview.replicaSets.find((set) => set.rollout?.state === "failed");
      if (failed) throw new Fatal(`${failed.name}: ${failed.rollout?.reason}`);
      const done = overview.replicaSets.every((set) => set.wanted > 0 && set.ready >= set.wanted);
      return overview.replicaSets.length > 0 && done ? overview : undefined;
    });
  }

  /** The manager first, then the agents in their order. */
  get programs(): readonly Program[] {
    return this.#waiting.group.programs;
  }

  /** Throws, with its last lines, when a program has ended by itself. */
  assertRunning(): void {
    this.#waiting.group.assertRunning();
  }

  async close(): Promise<void> {
    await this.sqwish.close();
    await this.#waiting.group.endAll();
  }
}

/** What every wait of a cluster has in common. */
interface Waiting {
  group: ProgramGroup;
  stepMsMax: number;
  interrupted?: AbortSignal;
}

/** A failure that waiting cannot mend. */
class Fatal extends Error {}

async function readAddress(file: string): Promise<ManagerAddress | undefined> {
  const text = await Deno.readTextFile(file).catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Asks ten times a second until the answer is there, the time is over, or a program has ended. */
async function until<T>(what: string, waiting: Waiting, probe: () => Promise<T | undefined>): Promise<T> {
  const endMs = performance.now() + waiting.stepMsMax;
  let last: unknown;
  while (performance.now() < endMs) {
    waiting.interrupted?.throwIfAborted();
    waiting.group.assertRunning();
    try {
      const answer = await probe();
      if (answer) return answer;
    } catch (thrown) {
      if (thrown instanceof Fatal) throw thrown;
      last = thrown;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const seconds = waiting.stepMsMax / 1000;
  throw new Error(`Waiting for ${what} took more than ${seconds} s\n${waiting.group.tails()}`, {
    cause: last,
  });
}

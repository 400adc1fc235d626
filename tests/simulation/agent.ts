/**
 * An agent in the simulated world: the real membership, session and hosting on a machine whose disk outlives the
 * process. It crashes, freezes, sleeps, restarts, and may come back with another clock.
 */
import { createHash } from "node:crypto";
import { type Agent, createAgentOn } from "../../lib/agent/agent.ts";
import { createHostingOn } from "../../lib/hosting/hosting.ts";
import type { ModuleStore } from "../../lib/hosting/module_store.ts";
import { silentLog } from "../../lib/log.ts";
import type { ModuleFile, ReplicaSpecification } from "../../lib/protocol/messages.ts";
import { SimulatedChannel } from "./channel.ts";
import type { Dice } from "./dice.ts";
import { createSimulatedHost, type RunnerProcess } from "./module_host.ts";
import type { ModuleSource } from "./modules.ts";
import { Machine } from "./network.ts";
import { SimulatedProcess } from "./timeline.ts";
import type { World } from "./world.ts";

export class SimulatedAgent {
  readonly machine: Machine;
  readonly cores: number;
  process: SimulatedProcess | null = null;
  agent: Agent | null = null;
  /** What its wall clock says at simulated time 0. */
  wallMs: number;
  readonly runners = new Set<RunnerProcess>();
  /** It has been told to stop. */
  isLeaving = false;
  readonly #world: World;
  readonly #dice: Dice;
  readonly #zone: string;
  /** Modules on its disk, by SHA-256. */
  readonly #cache = new Map<string, Uint8Array>();
  #starts = 0;
  #asleep: SimulatedProcess[] = [];

  constructor(world: World, readonly name: string) {
    this.#world = world;
    this.#dice = world.dice.fork(name);
    this.machine = new Machine(name, this.#dice.between(0.2, 10), this.#dice.spread(200, 20_000));
    this.cores = this.#dice.pick([1, 2, 4, 4, 8]);
    this.wallMs = this.#dice.chance(0.2) ? 0 : 1_790_000_000_000;
    this.#zone = this.#dice.pick(["attic", "shed"]);
  }

  get isUp(): boolean {
    return this.process?.state === "running";
  }

  start(): void {
    if (this.process !== null) return;
    const process = new SimulatedProcess(this.#world.timeline, this.name, this.wallMs);
    this.process = process;
    this.isLeaving = false;
    this.#starts++;
    this.#world.trace.note("agent starts", this.name, this.#starts);
    void this.#create(process).then((agent) => {
      if (this.process === process) this.agent = agent;
    });
  }

  /** The machine is off, or the process is killed. `vanishes`: nobody hears of it. */
  crash(vanishes: boolean): void {
    const { process } = this;
    if (process === null) return;
    this.#world.trace.note("agent ends", this.name, vanishes ? "unheard" : "");
    if (vanishes) this.#world.network.cutOff(process);
    this.process = null;
    this.agent = null;
    this.#asleep = [];
    process.kill();
  }

  /** Its machine is suspended: all that runs there stands still, with its clocks. */
  sleep(): void {
    if (!this.isUp) return;
    const all = [this.process!, ...[...this.runners].map(({ process }) => process)];
    // A runner that hangs still does so when it wakes.
    this.#asleep = all.filter(({ state }) => state === "running");
    for (const process of this.#asleep) process.sleep();
    this.#world.trace.note("agent sleeps", this.name);
    this.#world.tell("agentSlept", this);
  }

  wake(): void {
    if (this.#asleep.length === 0) return;
    for (const process of this.#asleep.splice(0)) process.thaw();
    this.#world.trace.note("agent wakes", this.name);
    this.#world.tell("agentWoke", this);
  }

  /** As on SIGTERM. */
  leave(): void {
    const { agent, process } = this;
    if (agent === null || process === null) return this.crash(false);
    this.isLeaving = true;
    void agent.close("stopped by SIGTERM").then(() => this.process === process && this.crash(false));
  }

  #create(process: SimulatedProcess): Promise<Agent> {
    const { timeline } = this.#world;
    const { clock } = process;
    const { random } = this.#dice.fork(`start ${this.#starts}`);
    const host = { cpu: 0.1, load1: 0.1, memoryUsedBytes: 1e9, memoryTotalBytes: 4e9 };
    return createAgentOn({
      clock,
      random,
      log: silentLog,
      machine: {
        hostname: this.name,
        labels: { arch: "aarch64", os: "linux", hostname: this.name },
        cores: this.cores,
        memoryBytes: 4e9,
      },
      identity: {
        name: this.name,
        identity: `identity-of-${this.name}`,
        addresses: ["manager:7443"],
        caPem: "none",
        user: `agent`,
        password: this.name,
        enroll: false,
      },
      labels: { zone: this.#zone },
    }, {
      openHosting: (settings, fetchModule) => {
        const folders = new Map<string, ModuleSource>();
        const modules = this.#disk(process, folders, fetchModule);
        const runners = createSimulatedHost({
          timeline,
          slab: this.#world.slab,
          dice: this.#dice.fork(`runners ${this.#starts}`),
          wallMs: this.wallMs,
          agentName: this.name,
          agentProcess: process,
          runners: this.runners,
          sourceIn: (folder) => folders.get(folder)!,
          started: (run) => this.#world.runStarted(run),
          nested: (endpoint) => this.#world.nestedOperation(this.name, endpoint),
        });
        return Promise.resolve(
          createHostingOn(settings, { host: runners, modules, cleanUp: () => Promise.resolve() }),
        );
      },
      sampleHost: () => host,
      readUse: () => ({ cpuCores: 0.05, cpuSeconds: 1, memoryBytes: 5e7 }),
      storeIdentity: () => Promise.resolve(),
      network: {
        dialWebSocket: async ({ timeoutMs }) =>
          new SimulatedChannel(
            await this.#world.network.dial(process, this.machine, `agent:${this.name}`, timeoutMs),
            "client",
          ),
        fetchAuthority: () => Promise.reject(new Error("the authority is known")),
      },
    });
  }

  /** Files of modules: a cache that outlives the process, and folders of replicas that don't. */
  #disk(
    process: SimulatedProcess,
    folders: Map<string, ModuleSource>,
    fetchModule: (sha256: string) => Promise<Uint8Array>,
  ): ModuleStore {
    const moment = () =>
      new Promise<void>((resolve) => process.clock.after(this.#dice.between(0.2, 3), resolve));
    const bytesOf = async ({ sha256 }: ModuleFile): Promise<Uint8Array> => {
      const cached = this.#cache.get(sha256);
      if (cached) return cached;
      const bytes = await fetchModule(sha256);
      const got = createHash("sha256").update(bytes).digest("hex");
      if (got !== sha256) throw new Error(`a module with SHA-256 ${sha256} has ${got}`);
      this.#cache.set(sha256, bytes);
      return bytes;
    };
    let number = 0;
    return {
      async layOut({ replicaSet, modules }: ReplicaSpecification) {
        await moment();
        const bytes = await bytesOf(modules[0]);
        await moment();
        const folder = `${replicaSet}-${++number}`;
        folders.set(folder, JSON.parse(new TextDecoder().decode(bytes)));
        return folder;
      },
      remove: (folder) => {
        folders.delete(folder);
        return Promise.resolve();
      },
      prune: (specifications) => {
        const needed = new Set(specifications.flatMap((one) => one.modules.map((module) => module.sha256)));
        for (const sha256 of [...this.#cache.keys()]) if (!needed.has(sha256)) this.#cache.delete(sha256);
        return Promise.resolve();
      },
    };
  }
}

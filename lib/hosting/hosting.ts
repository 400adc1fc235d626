/**
 * Everything an agent runs: desired state in, reports out, and requests to the replica they name.
 * Manager → agent session → here → replica → runner process → Worker → user code, and back by id.
 * Outlives the connection: replicas keep running while the manager is away.
 */
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import { type CancelReason, frameB, frameName } from "../protocol/frame.ts";
import type {
  Desired,
  LogLine,
  ReplicaReport,
  ReplicaSample,
  ReplicaSpecification,
} from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { HostedRequest, RequestTable } from "./hosted_request.ts";
import { createProcessHost, type FrameSink, type ModuleHost, type RunnerCommand } from "./host.ts";
import { type ModuleStore, openModuleStore } from "./module_store.ts";
import { NameCache } from "../protocol/name_cache.ts";
import { acceptsGeneration, reconcile, replicaKey } from "./reconcile.ts";
import { Replica, type ReplicaDeps } from "./replica.ts";
import type { Observation, Upstream } from "./replica_requests.ts";
import { openScratch } from "./scratch.ts";

/** What hosting needs whatever it stands on. */
export interface HostingSettings {
  clock: Clock;
  random: Random;
  log: Log;
  cores: number;
  /** `--concurrency`: requests at once per replica when its specification names none; the cores when absent. */
  concurrency?: number;
  /** All reports, whole, on every change. */
  onState(reports: ReplicaReport[]): void;
  onLogLine(line: LogLine): void;
  observe(observation: Observation): void;
  upstream: Upstream;
  /** `limits.readyMsMax` unless given. */
  readyMsMax?: number;
  /** `limits.drainMsMax` unless given. */
  drainMsMax?: number;
}

export interface HostingOptions extends HostingSettings {
  /** The agent's own; private. Holds the module cache. */
  dataFolder: string;
  runnerCommand: RunnerCommand;
  /** The bytes of a module. May be asked again later when it rejects. */
  fetchModule(sha256: string): Promise<Uint8Array>;
  /** Runner processes unless given. */
  host?: ModuleHost;
}

/** What hosting stands on: where runners come from and where modules lie. */
export interface HostingGround {
  host: ModuleHost;
  modules: ModuleStore;
  /** Once all runners have ended. */
  cleanUp(): Promise<void>;
}

export interface Hosting {
  /** Makes it so. An older generation than the one in force is ignored. Never throws. */
  apply(desired: Desired): void;
  /**
   * Runs the request frame in `bytes[at, end)`, whose bytes are Hosting's from now on, as of `nowMs` on the monotonic
   * clock, which is read once for a whole batch. Answers go to `sink`, exactly one outcome each.
   */
  request(bytes: Uint8Array, at: number, end: number, sink: FrameSink, nowMs: number): void;
  cancel(id: number, sink: FrameSink, reason: CancelReason): void;
  credit(id: number, count: number, sink: FrameSink): void;
  /** The manager's connection has taken what made it jam: runners whose answers filled it are read from again. */
  resume(): void;
  /** The manager's connection is gone: its requests are cancelled, nothing more is sent, and the next `desired` may have any generation. */
  forget(sink: FrameSink): void;
  reports(): ReplicaReport[];
  /** Of the newest `desired` that is acted on; 0 before the first. */
  readonly generation: number;
  /** For telemetry. CPU is counted since the last call. */
  samples(): ReplicaSample[];
  /** Ends all runners, after letting what runs end within `drainMs` (0 unless given). */
  close(drainMs?: number): Promise<void>;
}

/** Opens the module cache. Rejects when the data folder can't be written. */
export async function createHosting(options: HostingOptions): Promise<Hosting> {
  const dataFolder = resolve(options.dataFolder);
  await mkdir(dataFolder, { recursive: true });
  const scratch = await openScratch(dataFolder);
  const modules = await openModuleStore({
    cacheFolder: `${dataFolder}/modules`,
    replicasFolder: `${scratch.folder}/replicas`,
    random: options.random,
    fetchModule: options.fetchModule,
  });
  const host = options.host ??
    createProcessHost({
      command: options.runnerCommand,
      scratchFolder: scratch.folder,
      clock: options.clock,
      random: options.random,
      log: options.log,
    });
  return createHostingOn(options, { host, modules, cleanUp: () => scratch.remove() });
}

/** The same on another ground than this machine's disk and processes. */
export function createHostingOn(settings: HostingSettings, ground: HostingGround): Hosting {
  return new ReplicaHosting(settings, ground);
}

class ReplicaHosting implements Hosting {
  readonly #options: HostingSettings;
  readonly #modules: ModuleStore;
  readonly #replicaDeps: ReplicaDeps;
  readonly #cleanUp: () => Promise<void>;
  readonly #requests = new RequestTable();
  readonly #names = new NameCache(frameName);
  /** Those that take requests, by handle. */
  #replicas = new Map<number, Replica>();
  #stopping = new Set<Replica>();
  #generation = 0;
  #closed = false;

  constructor(options: HostingSettings, { host, modules, cleanUp }: HostingGround) {
    this.#options = options;
    this.#modules = modules;
    this.#cleanUp = cleanUp;
    this.#replicaDeps = {
      clock: options.clock,
      log: options.log,
      host,
      modules,
      upstream: options.upstream,
      runnersMax: Math.min(options.cores, limits.runnersPerReplicaMax),
      slots: options.concurrency ?? options.cores,
      adaptive: options.concurrency === undefined,
      readyMsMax: options.readyMsMax ?? limits.readyMsMax,
      drainMsMax: options.drainMsMax ?? limits.drainMsMax,
      observe: options.observe,
      onLogLine: options.onLogLine,
      onChange: () => this.#tell(),
      onDone: (request) => this.#requests.remove(request),
    };
  }

  get generation(): number {
    return this.#generation;
  }

  apply(desired: Desired): void {
    if (this.#closed || !acceptsGeneration(this.#generation, desired)) return;
    this.#generation = desired.generation;
    const actual = [...this.#replicas].map(([handle, replica]) => ({
      handle,
      key: replicaKey(replica.specification),
    }));
    const next = new Map(this.#replicas);
    const renumbered: [number, Replica][] = [];
    for (const action of reconcile(desired.replicas, actual)) {
      if (action.type === "stop") {
        this.#stop(this.#replicas.get(action.handle)!);
        next.delete(action.handle);
      } else if (action.type === "renumber") {
        renumbered.push([action.to, this.#replicas.get(action.from)!]);
        next.delete(action.from);
      } else {
        renumbered.push([action.specification.handle, this.#start(action.specification)]);
      }
    }
    for (const [handle, replica] of renumbered) {
      replica.handle = handle;
      next.set(handle, replica);
    }
    this.#replicas = next;
    this.#tell();
    this.#modules.prune(desired.replicas).catch((thrown) =>
      this.#options.log.warn("Old modules could not be removed", { cause: describeError(thrown) })
    );
  }

  request(bytes: Uint8Array, at: number, end: number, sink: FrameSink, nowMs: number): void {
    const request = new HostedRequest(bytes, at, end, this.#names.get(bytes, at), sink, nowMs);
    const handle = frameB(bytes, at) >>> 8;
    const replica = this.#replicas.get(handle);
    if (!replica) {
      const message = `Replica ${handle} of ${request.endpoint} is not on this agent`;
      return request.fail("no_ready_replica", message, { mayHaveRun: "no" });
    }
    if (!this.#requests.add(request)) {
      const message = `Request id ${request.id} is in flight already`;
      return request.fail("invalid_request", message, { mayHaveRun: "no" });
    }
    request.owner = replica;
    replica.request(request, nowMs);
  }

  cancel(id: number, sink: FrameSink, reason: CancelReason): void {
    const request = this.#requests.find(sink, id);
    request?.owner?.cancel(request, reason);
  }

  credit(id: number, count: number, sink: FrameSink): void {
    const request = this.#requests.find(sink, id);
    request?.owner?.credit(request, count);
  }

  resume(): void {
    for (const replica of [...this.#replicas.values(), ...this.#stopping]) replica.resume();
  }

  forget(sink: FrameSink): void {
    this.#generation = 0;
    for (const request of this.#requests.of(sink)) request.owner?.drop(request);
    this.resume();
  }

  reports(): ReplicaReport[] {
    const reports = [...this.#replicas.values()].map((replica) => replica.report());
    for (const replica of this.#stopping) {
      // After a renumbering its handle may be another replica's.
      if (!this.#replicas.has(replica.handle)) reports.push(replica.report());
    }
    return reports;
  }

  samples(): ReplicaSample[] {
    return [...this.#replicas.values()].map((replica) => replica.sample());
  }

  async close(drainMs = 0): Promise<void> {
    // Each tells that it stops, so that the manager sends nothing more here.
    for (const replica of this.#replicas.values()) this.#stop(replica, drainMs);
    this.#closed = true;
    this.#replicas = new Map();
    await Promise.all([...this.#stopping].map((replica) => replica.stop(drainMs)));
    await this.#cleanUp();
  }

  #start(specification: ReplicaSpecification): Replica {
    return new Replica(specification, this.#replicaDeps);
  }

  #stop(replica: Replica, drainMs = this.#replicaDeps.drainMsMax): void {
    this.#stopping.add(replica);
    const { log } = this.#options;
    replica.stop(drainMs)
      .catch((thrown) => log.warn("A replica could not be cleared away", { cause: describeError(thrown) }))
      .finally(() => {
        this.#stopping.delete(replica);
        this.#tell();
      });
  }

  #tell(): void {
    if (!this.#closed) this.#options.onState(this.reports());
  }
}

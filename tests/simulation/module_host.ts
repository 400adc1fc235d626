/**
 * The module host seam, simulated: runners that load a simulated module and run requests with the very code that runs
 * in a real runner's Worker. They hang, crash, leak and start slowly; a frozen one takes nothing.
 */
import { AnswerWriter } from "../../lib/hosting/answer_writer.ts";
import { BodyPool } from "../../lib/hosting/body_pool.ts";
import { createClaims, revoke } from "../../lib/hosting/claims.ts";
import type { Context } from "../../lib/hosting/context.ts";
import { FrameSocket } from "../../lib/hosting/frame_socket.ts";
import type { ModuleHost, Runner, RunnerEvents } from "../../lib/hosting/host.ts";
import { loadModules } from "../../lib/hosting/module_loader.ts";
import { createModuleLog } from "../../lib/hosting/module_log.ts";
import { OutgoingCalls } from "../../lib/hosting/outgoing_calls.ts";
import { createUserErrorReader } from "../../lib/hosting/user_error.ts";
import { WorkerRequests } from "../../lib/hosting/worker_requests.ts";
import { frameLength } from "../../lib/protocol/frame.ts";
import type { ReplicaSpecification } from "../../lib/protocol/messages.ts";
import type { Dice } from "./dice.ts";
import { exportsOf, type ModuleSource, type OperationInput } from "./modules.ts";
import { createPipe } from "./pipe.ts";
import type { Slab } from "./slab.ts";
import { SimulatedProcess, type Timeline } from "./timeline.ts";

/** One start of user code. */
export interface Run {
  n: number;
  attempt: number;
  requestId: string;
  agent: string;
  replicaSet: string;
  revision: number;
}

/** A runner's process, for those who look at it. */
export interface RunnerProcess {
  readonly process: SimulatedProcess;
  readonly specification: ReplicaSpecification;
  /** Its replica's. */
  readonly folder: string;
}

export interface ModuleHostWorld {
  timeline: Timeline;
  slab: Slab;
  dice: Dice;
  wallMs: number;
  agentName: string;
  agentProcess: SimulatedProcess;
  /** Those that live, kept by the host. */
  runners: Set<RunnerProcess>;
  /** The module that lies in a folder. */
  sourceIn(folder: string): ModuleSource;
  started(run: Run): void;
  /** The number of a request to an endpoint that a module makes. */
  nested(endpoint: string): number;
}

const MiB = 1024 * 1024;
/** From a line on standard output to the agent that reads it. */
const lineMs = 0.2;

export function createSimulatedHost(world: ModuleHostWorld): ModuleHost {
  return {
    user: null,
    start: (specification, folder, events) => new SimulatedRunner(world, specification, folder, events),
  };
}

class SimulatedRunner implements Runner {
  readonly #world: ModuleHostWorld;
  readonly #events: RunnerEvents;
  readonly #process: SimulatedProcess;
  readonly #socket: FrameSocket;
  readonly #claims = createClaims();
  #memoryBytes = 40 * MiB;
  #reason: string | null = null;
  #exited = false;
  #revocations: ((why: Error) => void)[] = [];

  constructor(
    world: ModuleHostWorld,
    specification: ReplicaSpecification,
    folder: string,
    events: RunnerEvents,
  ) {
    const { timeline, agentProcess } = world;
    this.#world = world;
    this.#events = events;
    const name = `${world.agentName}/${specification.replicaSet}@${specification.revision}`;
    const process = this.#process = new SimulatedProcess(timeline, name, world.wallMs);
    const known: RunnerProcess = { process, specification, folder };
    const source = world.sourceIn(folder);
    world.runners.add(known);
    process.onDeath(() => world.runners.delete(known));
    // Its standard input ends, so it ends.
    agentProcess.onDeath(() => this.#process.kill());
    const pipe = createPipe(timeline, world.slab, agentProcess, this.#process);
    this.#socket = new FrameSocket(pipe.left, agentProcess.clock, {
      onFrames: (bytes, at, end) => events.onFrames(bytes, at, end),
      onDrain: () => events.onDrain(),
      onClose: () => {},
    });
    timeline.after(
      world.dice.between(20, 60),
      () => this.#process.run(() => void this.#load(specification, source, pipe.right)),
    );
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedBytes;
  }

  sendFrames(bytes: Uint8Array, at?: number, end?: number): void {
    this.#socket.sendFrames(bytes, at, end);
  }

  pauseReading(): void {
    this.#socket.pauseReading();
  }

  resumeReading(): void {
    this.#socket.resumeReading();
  }

  /** Its main thread answers however busy the Worker is. */
  revoke(through: number): Promise<number> {
    if (this.#exited) return Promise.reject(new Error("the runner has ended"));
    return new Promise((resolve, reject) => {
      this.#revocations.push(reject);
      this.#world.timeline.after(lineMs, () => {
        if (this.#process.state === "dead") return;
        const claimed = revoke(this.#claims, through);
        this.#tell(() => resolve(claimed));
      });
    });
  }

  stop(graceMs: number): void {
    this.#reason ??= "stopped";
    const { timeline, agentProcess } = this.#world;
    timeline.after(lineMs, () => this.#process.run(() => this.#exit("stopped")));
    agentProcess.clock.after(graceMs, () => this.kill("stopped"));
  }

  kill(reason: string): void {
    if (this.#exited) return;
    this.#reason ??= reason;
    this.#exit(reason);
  }

  sample() {
    return this.#exited
      ? undefined
      : { memoryBytes: this.#memoryBytes, cpuMs: this.#world.timeline.nowMs / 10 };
  }

  #exit(reason: string): void {
    if (this.#process.state === "dead") return;
    this.#process.kill();
    this.#world.timeline.after(1, () =>
      this.#world.agentProcess.run(() => {
        this.#exited = true;
        this.#socket.close();
        for (const reject of this.#revocations.splice(0)) reject(new Error("the runner has ended"));
        this.#events.onExit(this.#reason ?? reason);
      }));
  }

  #tell(event: () => void): void {
    this.#world.timeline.after(lineMs, () =>
      this.#world.agentProcess.run(() => {
        if (!this.#exited) event();
      }));
  }

  async #load(
    specification: ReplicaSpecification,
    source: ModuleSource,
    stream: ReturnType<typeof createPipe>["right"],
  ): Promise<void> {
    const { dice } = this.#world;
    const requests = this.#connect(specification, stream);
    this.#tell(() => this.#events.onOnline());
    await this.#sleep(source.loadMs);
    if (source.isBroken) {
      return this.#tell(() => this.#events.onFailed("the module throws when it is imported"));
    }
    if (dice.chance(source.failsToLoad)) {
      if (dice.chance(0.5)) return this.#exit("ended with exit code 1");
      return this.#tell(() => this.#events.onFailed("as it happens"));
    }
    const loaded = await loadModules(
      specification.modules,
      () => Promise.resolve(this.#exports(specification, source)),
    );
    this.#tell(() => this.#events.onImported());
    requests.serve(loaded);
    const endpoints = [...loaded.endpoints.values()].map((endpoint) => endpoint.description);
    this.#tell(() => this.#events.onLoaded(endpoints));
  }

  #connect(
    specification: ReplicaSpecification,
    stream: ReturnType<typeof createPipe>["right"],
  ): WorkerRequests {
    const { clock } = this.#process;
    const socket: FrameSocket = new FrameSocket(stream, clock, {
      // Without a word of what is needed no more: a frozen runner may still have it to take.
      onFrames: (bytes, at, end) => this.#take(requests, bytes, at, end),
      onDrain: () => requests.onDrain(),
      onClose: () => {},
    });
    const calls = new OutgoingCalls((frame) => socket.sendFrames(frame));
    const requests: WorkerRequests = new WorkerRequests(
      {
        clock,
        env: Object.freeze({ ...specification.env }),
        log: createModuleLog(
          clock,
          (level, text, id) => this.#tell(() => this.#events.onLog(level, text, id)),
        ),
        errors: createUserErrorReader("file:///replica/", specification.modules),
        sink: socket,
        writer: new AnswerWriter(socket),
        bodies: new BodyPool(),
        invoke: (caller, endpoint, input, options) => calls.invoke(caller, endpoint, input, options),
      },
      this.#claims,
      calls,
    );
    return requests;
  }

  /** Frame by frame: one that keeps the event loop busy keeps the next from starting. */
  #take(requests: WorkerRequests, bytes: Uint8Array, at: number, end: number): void {
    while (at < end) {
      if (this.#process.state !== "running") {
        return this.#process.run(() => this.#take(requests, bytes, at, end));
      }
      const frameEnd = at + frameLength(bytes, at);
      requests.onFrames(bytes, at, frameEnd);
      at = frameEnd;
    }
  }

  #exports(specification: ReplicaSpecification, source: ModuleSource): Record<string, unknown> {
    const { agentName, timeline } = this.#world;
    const { replicaSet, revision } = specification;
    return exportsOf({
      process: this.#process,
      started: (input: OperationInput, { attempt, requestId }: Context) =>
        this.#world.started({ n: input.n, attempt, requestId, agent: agentName, replicaSet, revision }),
      exit: (reason) => this.#exit(reason),
      setMemory: (bytes) => this.#memoryBytes = bytes,
      after: (ms, action) => timeline.after(ms, action),
      nested: (endpoint) => ({ n: this.#world.nested(endpoint) }),
      sleep: (ms, signal) => this.#sleep(ms, signal),
    }, source.answers);
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = this.#process.clock.after(ms, resolve);
      signal?.addEventListener("abort", () => {
        cancel();
        reject(signal.reason);
      });
    });
  }
}

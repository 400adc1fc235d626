/**
 * One replica on this agent: its life (loading → ready ⇄ failed → stopping → gone) and its runners. A crash is
 * answered by a new runner at once; what can't load is tried again with growing pauses. Requests are dealt out in
 * `replica_requests.ts`. Reported to the manager whenever something of it changes.
 */
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { CancelReason } from "../protocol/frame.ts";
import type {
  EndpointDescription,
  LogLine,
  ReplicaReport,
  ReplicaSample,
  ReplicaSpecification,
  ReplicaState,
} from "../protocol/messages.ts";
import type { HostedRequest, RequestOwner } from "./hosted_request.ts";
import type { ModuleHost } from "./host.ts";
import type { ModuleStore } from "./module_store.ts";
import { chooseIdle, retryDelayMs, runnerTimes } from "./replica_policy.ts";
import { type Observation, ReplicaRequests, type Upstream } from "./replica_requests.ts";
import { RunnerSlot } from "./runner_slot.ts";

export interface ReplicaDeps {
  clock: Clock;
  log: Log;
  host: ModuleHost;
  modules: ModuleStore;
  upstream: Upstream;
  /** The most runners at once. */
  runnersMax: number;
  /** Requests at once when the specification names none. */
  slots: number;
  /** Whether that is only where the manager starts from. */
  adaptive: boolean;
  readyMsMax: number;
  drainMsMax: number;
  observe(observation: Observation): void;
  onLogLine(line: LogLine): void;
  /** Something of `report()` changed. */
  onChange(): void;
  /** The request has left this agent. */
  onDone(request: HostedRequest): void;
}

const MiB = 1024 * 1024;
/**
 * Garbage the runtime lets lie before it collects: some 40 MB of its heap and 64 MB of buffers. Not the module's
 * to answer for, so it comes on top of `memoryMb`.
 */
const workingRoomBytes = 128 * MiB;

export class Replica implements RequestOwner {
  /** The manager's number for it, which may change. */
  handle: number;
  readonly specification: ReplicaSpecification;
  readonly #deps: ReplicaDeps;
  readonly #requests: ReplicaRequests;
  #slots: RunnerSlot[] = [];
  #state: ReplicaState = "loading";
  #reason: string | undefined;
  #endpoints: EndpointDescription[] = [];
  #folder: string | null = null;
  #failures = 0;
  #restarts = 0;
  #cancelRetry: () => void = () => {};
  #cancelHousekeeping: () => void;
  #ended: Promise<void> | null = null;
  #wakeStop: () => void = () => {};
  #sampledAtMs: number;
  /** No second runner before this. */
  #growAtMs = 0;

  constructor(specification: ReplicaSpecification, deps: ReplicaDeps) {
    this.specification = specification;
    this.handle = specification.handle;
    this.#deps = deps;
    this.#sampledAtMs = deps.clock.monotonicMs();
    this.#requests = new ReplicaRequests(
      {
        ...deps,
        revision: specification.revision,
        startRunner: () => this.#grow(),
        endRunner: (slot, reason) => void this.#endRunner(slot, reason),
        onQuiet: () => this.#wakeStop(),
        checkMemory: () => this.#checkMemory(),
      },
      this.#slots,
    );
    this.#cancelHousekeeping = deps.clock.every(runnerTimes.housekeepingMs, () => this.#keepHouse());
    void this.#load();
  }

  get state(): ReplicaState {
    return this.#state;
  }

  report(): ReplicaReport {
    const { replicaSet, revision, concurrency } = this.specification;
    return {
      handle: this.handle,
      replicaSet,
      revision,
      state: this.#state,
      ...(this.#reason === undefined ? {} : { reason: this.#reason.slice(0, 4096) }),
      slots: concurrency ?? this.#deps.slots,
      adaptive: concurrency === undefined && this.#deps.adaptive,
      endpoints: this.#endpoints,
    };
  }

  /** CPU is counted since the last call. */
  sample(): ReplicaSample {
    const nowMs = this.#deps.clock.monotonicMs();
    const elapsedMs = Math.max(1, nowMs - this.#sampledAtMs);
    this.#sampledAtMs = nowMs;
    let cpuMs = 0;
    let memoryBytes = 0;
    for (const slot of this.#slots) {
      const sample = slot.runner.sample();
      if (!sample) continue;
      cpuMs += Math.max(0, sample.cpuMs - (slot.lastSample?.cpuMs ?? 0));
      memoryBytes += sample.memoryBytes;
      slot.lastSample = sample;
    }
    return {
      handle: this.handle,
      outstanding: this.#requests.outstanding,
      runners: this.#slots.length,
      // More digits would only make telemetry longer.
      cpuCores: Math.round(cpuMs / elapsedMs * 1e4) / 1e4,
      memoryBytes,
      restarts: this.#restarts,
    };
  }

  /** Runs the request or answers it at once that nothing is ready here. */
  request(request: HostedRequest, nowMs: number): void {
    if (this.#state === "ready") this.#requests.add(request, nowMs);
    else this.#requests.refuse(request, `${this.specification.replicaSet} is ${this.#state} on this agent`);
  }

  cancel(request: HostedRequest, reason: CancelReason): void {
    this.#requests.cancel(request, reason);
  }

  /** The requester is gone: no answer will be wanted. */
  drop(request: HostedRequest): void {
    this.#requests.drop(request);
  }

  credit(request: HostedRequest, parts: number): void {
    this.#requests.credit(request, parts);
  }

  /** The way to the manager is free again. */
  resume(): void {
    this.#requests.resume();
  }

  /** Takes nothing new, lets what runs end within `drainMs`, then aborts it, then ends the runners. Resolves when all is gone. */
  stop(drainMs: number): Promise<void> {
    return this.#ended ??= this.#stop(drainMs);
  }

  async #stop(drainMs: number): Promise<void> {
    const { clock } = this.#deps;
    this.#cancelRetry();
    this.#change("stopping");
    if (!await this.#quietWithin(drainMs)) {
      this.#requests.abortAll();
      await this.#quietWithin(runnerTimes.abortMs);
    }
    for (const slot of [...this.#slots]) {
      slot.state = "stopping";
      slot.endReason = "was stopped";
      // One that hangs would not hear of it.
      if (slot.stalledMs(clock.monotonicMs()) > 0) slot.runner.kill("was stopped");
      else slot.runner.stop(runnerTimes.stopMs);
    }
    while (this.#slots.length > 0) await new Promise<void>((resolve) => this.#wakeStop = resolve);
    this.#cancelHousekeeping();
    this.#requests.close(`${this.specification.replicaSet} was stopped on this agent`);
    if (this.#folder) await this.#deps.modules.remove(this.#folder);
  }

  /** True once no request is left, false when `ms` are over first. */
  async #quietWithin(ms: number): Promise<boolean> {
    let over = false;
    const cancel = this.#deps.clock.after(ms, () => {
      over = true;
      this.#wakeStop();
    });
    while (this.#requests.outstanding > 0 && !over) {
      await new Promise<void>((resolve) => this.#wakeStop = resolve);
    }
    cancel();
    return this.#requests.outstanding === 0;
  }

  /** After a failure the files are laid out anew: they may be what was wrong. */
  async #load(): Promise<void> {
    try {
      if (this.#folder && this.#failures > 0) {
        await this.#deps.modules.remove(this.#folder);
        this.#folder = null;
      }
      this.#folder ??= await this.#deps.modules.layOut(this.specification);
    } catch (thrown) {
      return this.#loadFailed(`The modules could not be brought here: ${describeError(thrown)}`);
    }
    if (this.#state !== "stopping") return this.#startRunner();
    await this.#deps.modules.remove(this.#folder);
  }

  #grow(): void {
    if (this.#deps.clock.monotonicMs() >= this.#growAtMs) this.#startRunner();
  }

  #startRunner(): void {
    const { clock, host, readyMsMax } = this.#deps;
    const slot = new RunnerSlot(clock.monotonicMs());
    let imported = false;
    const cancelTimeout = clock.after(readyMsMax, () => {
      const what = imported ? "ready() did not resolve" : "Importing the modules did not end";
      this.#slotFailed(slot, `${what} within ${readyMsMax / 1000} s`);
    });
    slot.runner = host.start(this.specification, this.#folder!, {
      onOnline: () => slot.baselineBytes = slot.runner.sample()?.memoryBytes ?? 0,
      onImported: () => {
        imported = true;
        if (this.#state === "loading") this.#change("loading", "its ready() has not resolved yet");
      },
      onLoaded: (endpoints) => {
        cancelTimeout();
        this.#slotLoaded(slot, endpoints);
      },
      onFailed: (reason) => this.#slotFailed(slot, reason),
      onFrames: (bytes, at, end) => this.#requests.onFrames(slot, bytes, at, end),
      onDrain: () => this.#requests.dispatch(),
      onLog: (level, text, requestId) => this.#writeLine(level, text, requestId),
      onExit: (reason) => {
        cancelTimeout();
        this.#slotEnded(slot, reason);
      },
    });
    this.#slots.push(slot);
  }

  #slotLoaded(slot: RunnerSlot, endpoints: EndpointDescription[]): void {
    if (slot.state !== "loading") return;
    slot.state = "ready";
    slot.heard(this.#deps.clock.monotonicMs());
    this.#endpoints = endpoints;
    if (this.#state !== "stopping") this.#change("ready");
    this.#requests.dispatch();
  }

  #slotFailed(slot: RunnerSlot, reason: string): void {
    if (slot.endReason !== null || slot.state === "ended") return;
    slot.endReason = reason;
    slot.runner.kill("could not load");
  }

  #slotEnded(slot: RunnerSlot, reason: string): void {
    const wasLoading = slot.state === "loading";
    const wasBusy = slot.busy > 0;
    const expected = slot.state === "stopping";
    slot.state = "ended";
    this.#slots.splice(this.#slots.indexOf(slot), 1);
    this.#deps.upstream.forget(slot.runner);
    this.#requests.onRunnerLost(slot, reason);
    this.#wakeStop();
    if (this.#state === "stopping" || expected) return;
    const why = slot.endReason ?? `The runner ${reason}`;
    if (wasLoading) return this.#loadFailed(slot.endReason ?? `The runner ${reason} while it loaded`);
    this.#restarts++;
    this.#writeLine("warn", `${why}; a new one is started`);
    if (this.#slots.length > 0) return;
    // A runner that falls over by itself soon after its start is not worth a new one at full speed.
    const again = !wasBusy && this.#deps.clock.monotonicMs() - slot.startedAtMs < runnerTimes.settledMs;
    this.#failures = again ? this.#failures + 1 : 0;
    if (this.#failures > 1) this.#loadFailed(why);
    else void this.#load();
  }

  #loadFailed(reason: string): void {
    if (this.#state === "stopping") return;
    if (this.#slots.some((slot) => slot.state === "ready")) {
      // While another runner serves, a failed second one is only a missed help.
      this.#growAtMs = this.#deps.clock.monotonicMs() + runnerTimes.retryMsMax;
      return;
    }
    this.#failures++;
    this.#change("failed", reason);
    this.#requests.refuseWaiting(reason);
    this.#cancelRetry();
    this.#cancelRetry = this.#deps.clock.after(retryDelayMs(this.#failures), () => void this.#load());
  }

  /** Ends a runner that does harm, after taking back what it has not started. */
  async #endRunner(slot: RunnerSlot, reason: string): Promise<void> {
    if (slot.endReason !== null) return;
    slot.endReason = `The runner ${reason}`;
    const { clock } = this.#deps;
    let cancel = () => {};
    const timeout = new Promise<void>((resolve) => cancel = clock.after(runnerTimes.takeBackMs, resolve));
    await Promise.race([this.#requests.takeBack(slot), timeout]);
    cancel();
    slot.runner.kill(reason);
  }

  #checkMemory(): void {
    const { memoryMb } = this.specification;
    for (const slot of this.#slots) {
      // Until the baseline is known it is the runtime that starts.
      if (slot.baselineBytes === 0) continue;
      const bytes = (slot.runner.sample()?.memoryBytes ?? 0) - slot.baselineBytes;
      if (bytes <= memoryMb * MiB + workingRoomBytes) continue;
      const reason = `used ${Math.ceil(bytes / MiB)} MB of memory, memoryMb is ${memoryMb}`;
      void this.#endRunner(slot, `${reason} (and ${workingRoomBytes / MiB} of working room)`);
    }
  }

  #keepHouse(): void {
    this.#checkMemory();
    const idle = chooseIdle(this.#requests.facts());
    if (idle < 0) return;
    const slot = this.#slots[idle];
    slot.state = "stopping";
    slot.endReason = "The runner was idle";
    slot.runner.stop(runnerTimes.stopMs);
  }

  #change(state: ReplicaState, reason?: string): void {
    if (state === this.#state && reason === this.#reason) return;
    if (state === "failed") this.#writeLine("error", reason ?? "failed");
    this.#state = state;
    this.#reason = reason;
    this.#deps.onChange();
  }

  #writeLine(level: LogLine["level"], text: string, requestId?: string): void {
    const { replicaSet, revision } = this.specification;
    this.#deps.onLogLine({
      atMs: this.#deps.clock.nowMs(),
      replicaSet,
      revision,
      level,
      text: text.slice(0, limits.logLineBytesMax),
      ...(requestId === undefined ? {} : { requestId }),
    });
  }
}

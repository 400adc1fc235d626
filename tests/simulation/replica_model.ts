/**
 * A replica as the manager sees one, simulated: a network, an agent that takes whatever has gathered as one batch, and
 * runners, each one event loop, that grow up to the core count while work waits in front of busy ones.
 */
import type { EventQueue } from "./events.ts";

/** One request's work: `cpuMs` at once, `waitMs` without the processor, then `lateCpuMs`. */
export interface Work {
  cpuMs: number;
  waitMs: number;
  lateCpuMs: number;
}

export interface ReplicaModelOptions {
  cores: number;
  /** One way. */
  networkMs: number;
  /** What the agent spends per batch, and per request of it: the gain of having many in flight. */
  batchMs: number;
  perRequestMs: number;
  /** Multiplies all work that starts at a time. */
  slowness(nowMs: number): number;
}

/** How long work must have waited in front of busy runners for another to be started, and how long that takes. */
const growAfterMs = 50;
const runnerStartMs = 70;

interface Task {
  cpuMs: number;
  /** False: it waits for its start, and another runner may take it. */
  started: boolean;
  done(): void;
}

export class ReplicaModel {
  readonly #events: EventQueue;
  readonly #options: ReplicaModelOptions;
  readonly #runners: Runner[] = [];
  #starting = false;
  #gathered: (() => void)[] = [];
  #agentBusy = false;

  constructor(events: EventQueue, options: ReplicaModelOptions) {
    this.#events = events;
    this.#options = options;
    this.#runners.push(new Runner(events));
  }

  get runners(): number {
    return this.#runners.length;
  }

  /** Runs it; `reply` is called when the reply is back at the manager. */
  send(work: Work, reply: (runUs: number) => void): void {
    const { networkMs, slowness } = this.#options;
    this.#events.after(networkMs, () =>
      this.#throughAgent(() => {
        const factor = slowness(this.#events.nowMs);
        this.#run(
          work,
          factor,
          (runUs) => this.#throughAgent(() => this.#events.after(networkMs, () => reply(runUs))),
        );
      }));
  }

  #run(work: Work, factor: number, done: (runUs: number) => void): void {
    const runner = this.#leastBusy();
    const cpuMs = work.cpuMs * factor;
    runner.push({
      cpuMs,
      started: false,
      done: () => {
        const startedMs = this.#events.nowMs - cpuMs;
        const end = () => done((this.#events.nowMs - startedMs) * 1000);
        if (work.waitMs === 0 && work.lateCpuMs === 0) return end();
        this.#events.after(work.waitMs * factor, () => {
          if (work.lateCpuMs === 0) return end();
          runner.push({ cpuMs: work.lateCpuMs * factor, started: true, done: end });
        });
      },
    });
    this.#mayGrow();
  }

  /** Something waits, and every runner is busy. */
  #isCrowded(): boolean {
    return this.#leastBusy().waiting > 0 && this.#runners.some(({ waiting }) => waiting > 1);
  }

  #leastBusy(): Runner {
    let least = this.#runners[0];
    for (const runner of this.#runners) if (runner.waiting < least.waiting) least = runner;
    return least;
  }

  #mayGrow(): void {
    if (this.#starting || this.#runners.length >= this.#options.cores) return;
    if (!this.#isCrowded()) return;
    this.#starting = true;
    this.#events.after(growAfterMs + runnerStartMs, () => {
      this.#starting = false;
      // What waits is shared anew.
      const waiting = this.#runners.flatMap((runner) => runner.giveBack());
      this.#runners.push(new Runner(this.#events));
      for (const task of waiting) this.#leastBusy().push(task);
      if (waiting.length > 0) this.#mayGrow();
    });
  }

  /** Whatever comes while the agent is at work goes through with the next batch. */
  #throughAgent(next: () => void): void {
    this.#gathered.push(next);
    if (this.#agentBusy) return;
    this.#agentBusy = true;
    this.#events.after(0, () => this.#batch());
  }

  #batch(): void {
    const batch = this.#gathered;
    this.#gathered = [];
    const { batchMs, perRequestMs } = this.#options;
    this.#events.after(batchMs + perRequestMs * batch.length, () => {
      for (const next of batch) next();
      if (this.#gathered.length > 0) this.#batch();
      else this.#agentBusy = false;
    });
  }
}

/** One event loop: one task after the other. */
class Runner {
  readonly #events: EventQueue;
  #tasks: Task[] = [];
  #head = 0;
  #busy = false;

  constructor(events: EventQueue) {
    this.#events = events;
  }

  /** With the one that runs. */
  get waiting(): number {
    return this.#tasks.length - this.#head + (this.#busy ? 1 : 0);
  }

  push(task: Task): void {
    this.#tasks.push(task);
    if (!this.#busy) this.#next();
  }

  giveBack(): Task[] {
    const rest = this.#tasks.slice(this.#head);
    this.#head = 0;
    this.#tasks = rest.filter((task) => task.started);
    return rest.filter((task) => !task.started);
  }

  #next(): void {
    this.#busy = this.#head < this.#tasks.length;
    if (!this.#busy) return;
    const task = this.#tasks[this.#head++];
    if (this.#head > 1024) {
      this.#tasks = this.#tasks.slice(this.#head);
      this.#head = 0;
    }
    this.#events.after(task.cpuMs, () => {
      task.done();
      this.#next();
    });
  }
}

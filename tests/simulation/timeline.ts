/**
 * Simulated time: a heap of events, and processes that have clocks on it. An event runs with all the microtasks it
 * leaves behind before the next one does, as in a real event loop; so the run of a seed is the same each time.
 */
import type { Clock } from "../../lib/clock.ts";

interface TimelineEvent {
  readonly dueMs: number;
  readonly order: number;
  action: (() => void) | null;
}

/** Runs all microtasks that wait. Only outside of any: the simulation runs in a timer's callback. */
const runMicrotasks = runtimeMicrotasks();

function runtimeMicrotasks(): () => void {
  const internal = (Deno as unknown as { internal: symbol }).internal;
  const runtime = (Deno as unknown as Record<symbol, { core: { runMicrotasks(): void } }>)[internal];
  return () => runtime.core.runMicrotasks();
}

export class Timeline {
  nowMs = 0;
  /** Events that have run. */
  count = 0;
  #heap: TimelineEvent[] = [];
  #order = 0;
  #stopped = false;

  /** Events that wait, cancelled ones included until their time. */
  get size(): number {
    return this.#heap.length;
  }

  /** Returns the function that cancels it. */
  at(dueMs: number, action: () => void): () => void {
    const event: TimelineEvent = { dueMs: Math.max(dueMs, this.nowMs), order: this.#order++, action };
    this.#push(event);
    return () => event.action = null;
  }

  after(delayMs: number, action: () => void): () => void {
    return this.at(this.nowMs + delayMs, action);
  }

  /** Nothing runs any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Runs everything that falls due until `untilMs`. Throws what an event throws. */
  run(untilMs: number): void {
    runMicrotasks();
    while (this.#heap.length > 0 && this.#heap[0].dueMs <= untilMs && !this.#stopped) {
      const event = this.#pop();
      if (event.action === null) continue;
      this.nowMs = event.dueMs;
      this.count++;
      event.action();
      runMicrotasks();
    }
    if (!this.#stopped) this.nowMs = untilMs;
  }

  #push(event: TimelineEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isEarlier(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): TimelineEvent {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isEarlier(heap[child + 1], heap[child])) child++;
      if (!isEarlier(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isEarlier(one: TimelineEvent, other: TimelineEvent): boolean {
  return one.dueMs === other.dueMs ? one.order < other.order : one.dueMs < other.dueMs;
}

/**
 * A program on a simulated machine. Frozen, it does nothing, and does at its thaw what fell due meanwhile; asleep,
 * its monotonic clock stands still, too. Dead, nothing of it happens any more.
 */
export class SimulatedProcess {
  state: "running" | "frozen" | "dead" = "running";
  readonly clock: Clock;
  readonly #timeline: Timeline;
  readonly #startedMs: number;
  /** How long its monotonic clock has stood still. */
  #sleptMs = 0;
  #asleepSinceMs: number | null = null;
  #deferred: (() => void)[] = [];
  #onWake: (() => void)[] = [];
  #onDeath: (() => void)[] = [];
  /** Timers that have been set and not run. */
  timers = 0;

  /** `wallMs`: what its wall clock says when simulated time is 0. */
  constructor(timeline: Timeline, readonly name: string, wallMs: number) {
    this.#timeline = timeline;
    this.#startedMs = timeline.nowMs;
    this.clock = {
      nowMs: () => wallMs + Math.floor(timeline.nowMs),
      monotonicMs: () => this.#monotonicMs(),
      after: (delayMs, action) => this.#after(delayMs, action),
      every: (periodMs, action) => this.#every(periodMs, action),
    };
  }

  /** Now; at its thaw when it is frozen; never when it is dead. */
  run(action: () => void): void {
    if (this.state === "running") action();
    else if (this.state === "frozen") this.#deferred.push(action);
  }

  freeze(): void {
    if (this.state === "running") this.state = "frozen";
  }

  /** As the machine does that it runs on. */
  sleep(): void {
    this.freeze();
    this.#asleepSinceMs ??= this.#timeline.nowMs;
  }

  thaw(): void {
    if (this.state !== "frozen") return;
    this.state = "running";
    if (this.#asleepSinceMs !== null) this.#sleptMs += this.#timeline.nowMs - this.#asleepSinceMs;
    this.#asleepSinceMs = null;
    // Each as an event of its own, so that its microtasks come before the next.
    for (const action of this.#deferred.splice(0)) this.#timeline.after(0, () => this.run(action));
    for (const action of this.#onWake) this.#timeline.after(0, () => this.run(action));
  }

  kill(): void {
    if (this.state === "dead") return;
    this.state = "dead";
    this.#deferred = [];
    this.#onWake = [];
    for (const action of this.#onDeath.splice(0)) action();
  }

  onWake(action: () => void): void {
    this.#onWake.push(action);
  }

  onDeath(action: () => void): void {
    this.#onDeath.push(action);
  }

  #monotonicMs(): number {
    const { nowMs } = this.#timeline;
    const sleeping = this.#asleepSinceMs === null ? 0 : nowMs - this.#asleepSinceMs;
    return nowMs - this.#startedMs - this.#sleptMs - sleeping + 1000;
  }

  #after(delayMs: number, action: () => void): () => void {
    const dueMs = this.#monotonicMs() + Math.max(0, delayMs);
    let cancel = () => {};
    let open = true;
    const close = () => {
      if (open) this.timers--;
      open = false;
    };
    const fire = () => {
      if (!open || this.state === "dead") return;
      if (this.state === "frozen") return this.#deferred.push(fire);
      const missingMs = dueMs - this.#monotonicMs();
      // It has slept meanwhile.
      if (missingMs > 1e-6) return cancel = this.#timeline.after(missingMs, fire);
      close();
      action();
    };
    this.timers++;
    cancel = this.#timeline.after(Math.max(0, delayMs), fire);
    return () => {
      close();
      cancel();
    };
  }

  #every(periodMs: number, action: () => void): () => void {
    let cancel = () => {};
    let stopped = false;
    let dueMs = this.#monotonicMs();
    const next = () => {
      // What fell due while it was frozen happens once.
      dueMs = Math.max(dueMs + periodMs, this.#monotonicMs());
      cancel = this.#after(dueMs - this.#monotonicMs(), () => {
        action();
        if (!stopped) next();
      });
    };
    next();
    return () => {
      stopped = true;
      cancel();
    };
  }
}

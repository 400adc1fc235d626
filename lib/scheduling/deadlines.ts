/**
 * Deadlines of all requests, queued and running, behind one timer: a binary heap whose entries know their place, so
 * that what ends early is removed in O(log n). On the way: beside queue and dispatch.
 * The invariant: an entry is due exactly once, or removed; the timer is never later than the earliest deadline.
 */
import type { Clock } from "../clock.ts";

export interface DeadlineEntry {
  /** Monotonic ms. Not to be changed while it is in the heap. */
  deadlineMs: number;
  /** Its place in the heap; -1: not in it. Kept by `Deadlines`. */
  heapIndex: number;
}

export class Deadlines<Entry extends DeadlineEntry> {
  #clock: Clock;
  #onDue: (entry: Entry) => void;
  #heap: Entry[] = [];
  #cancelTimer: (() => void) | null = null;
  #timerDueMs = Infinity;

  /** `onDue` is called with each entry at its deadline, after it has left. */
  constructor(clock: Clock, onDue: (entry: Entry) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(entry: Entry): void {
    entry.heapIndex = this.#heap.push(entry) - 1;
    this.#up(entry.heapIndex);
    if (this.#heap[0].deadlineMs < this.#timerDueMs) this.#arm();
  }

  /** Nothing happens when it isn't in. A timer that was set for it stays and finds nothing due: cheaper than resetting. */
  remove(entry: Entry): void {
    const index = entry.heapIndex;
    if (index < 0) return;
    entry.heapIndex = -1;
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#place(last, index);
    this.#up(index);
    this.#down(last.heapIndex);
  }

  /** Forgets all entries and stops the timer. */
  close(): void {
    for (const entry of this.#heap) entry.heapIndex = -1;
    this.#heap = [];
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerDueMs = Infinity;
  }

  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerDueMs = Infinity;
    const earliest = this.#heap[0];
    if (!earliest) return;
    this.#timerDueMs = earliest.deadlineMs;
    // Whole ms, rounded up: a timer that comes a fraction too early would only have to be set again.
    const delayMs = Math.max(0, Math.ceil(earliest.deadlineMs - this.#clock.monotonicMs()));
    this.#cancelTimer = this.#clock.after(delayMs, () => this.#fire());
  }

  #fire(): void {
    this.#cancelTimer = null;
    // While this runs, `add` must not set timers of its own.
    this.#timerDueMs = -Infinity;
    const nowMs = this.#clock.monotonicMs();
    for (let entry = this.#heap[0]; entry && entry.deadlineMs <= nowMs; entry = this.#heap[0]) {
      this.remove(entry);
      this.#onDue(entry);
    }
    this.#arm();
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.heapIndex = index;
  }

  #up(index: number): void {
    const entry = this.#heap[index];
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#heap[parent].deadlineMs <= entry.deadlineMs) break;
      this.#place(this.#heap[parent], index);
      index = parent;
    }
    this.#place(entry, index);
  }

  #down(index: number): void {
    const entry = this.#heap[index];
    const half = this.#heap.length >> 1;
    while (index < half) {
      let child = 2 * index + 1;
      if (child + 1 < this.#heap.length && this.#heap[child + 1].deadlineMs < this.#heap[child].deadlineMs) {
        child++;
      }
      if (this.#heap[child].deadlineMs >= entry.deadlineMs) break;
      this.#place(this.#heap[child], index);
      index = child;
    }
    this.#place(entry, index);
  }
}

/** What happens when, in a simulation: a binary heap of actions by time, equals in the order in which they came. */

interface Event {
  atMs: number;
  order: number;
  action: () => void;
}

export class EventQueue {
  nowMs = 0;
  #heap: Event[] = [];
  #order = 0;

  at(atMs: number, action: () => void): void {
    const heap = this.#heap;
    const event = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, action };
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = event;
  }

  after(delayMs: number, action: () => void): void {
    this.at(this.nowMs + delayMs, action);
  }

  /** Runs everything up to `untilMs`. */
  run(untilMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0].atMs <= untilMs) {
      const { atMs, action } = this.#take();
      this.nowMs = atMs;
      action();
    }
    this.nowMs = untilMs;
  }

  #take(): Event {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/**
 * Queues that overflow, told as events: once when it begins, with the figures once it is over for a while, however
 * many requests were refused. From the dispatcher's outcomes and a tick → here → the events.
 */
import type { RecordEvent } from "./events.ts";
import { counted } from "../words.ts";

interface Overflow {
  sinceMs: number;
  lastMs: number;
  refused: number;
}

/** A queue that was not full for so long is told of anew. */
const quietMs = 60_000;

export class Overload {
  readonly #record: RecordEvent;
  readonly #sets = new Map<string, Overflow>();

  constructor(record: RecordEvent) {
    this.#record = record;
  }

  /** A request of the set was refused for a full queue. */
  observe(set: string, message: string, nowMs: number): void {
    const overflow = this.#sets.get(set);
    if (overflow) {
      overflow.lastMs = nowMs;
      overflow.refused++;
      return;
    }
    this.#sets.set(set, { sinceMs: nowMs, lastMs: nowMs, refused: 1 });
    this.#record("warn", "queue_full", set, message);
  }

  /** Ends what has been quiet for a while. */
  tick(nowMs: number): void {
    for (const [set, { sinceMs, lastMs, refused }] of this.#sets) {
      if (nowMs - lastMs < quietMs && nowMs >= lastMs) continue;
      this.#sets.delete(set);
      const seconds = Math.max(1, Math.round((lastMs - sinceMs) / 1000));
      const requests = counted(refused, "request was", "requests were");
      this.#record(
        "info",
        "queue_full",
        set,
        `The queue of ${set} is well again: ${requests} refused in ${seconds} s`,
      );
    }
  }
}

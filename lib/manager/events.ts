/**
 * Every decision of the cluster, told once: into the store, then the log, the live view and whoever listens. Invariant:
 * nothing is told that was not kept, so an event within a transaction is told when that is committed.
 */
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { EventView } from "../protocol/views.ts";
import type { EventStore } from "../store/events.ts";

export type EventLevel = EventView["level"];
export type RecordEvent = (level: EventLevel, kind: string, subject: string, message: string) => void;

const recentMax = 100;

export interface EventLog {
  record: RecordEvent;
  /** Calls back after each event. Returns the function that ends it. */
  onRecorded(action: () => void): () => void;
  /** The newest, newest last. */
  recent(): EventView[];
}

export function createEventLog(
  store: Pick<EventStore, "append" | "list" | "afterCommit">,
  clock: Clock,
  log: Log,
): EventLog {
  const listeners = new Set<() => void>();
  const recent = store.list({ limit: recentMax });
  /** A full disk must not stop the cluster from deciding: the event is then only in the log and in memory. */
  function append(event: Omit<EventView, "id">): EventView {
    try {
      return store.append(event);
    } catch (thrown) {
      log.error("an event could not be stored", { error: describeError(thrown) });
      return { ...event, id: recent.at(-1)?.id ?? 0 };
    }
  }
  return {
    record(level, kind, subject, message) {
      const event = append({ atMs: clock.nowMs(), level, kind, subject, message });
      store.afterCommit(() => {
        recent.push(event);
        if (recent.length > recentMax) recent.shift();
        log[level](message, { event: kind });
        for (const listener of listeners) listener();
      });
    },
    onRecorded(action) {
      listeners.add(action);
      return () => void listeners.delete(action);
    },
    recent: () => recent,
  };
}

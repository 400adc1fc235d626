/** Every decision of the cluster, told once: into the store, the log and the live view. */
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { EventView } from "../protocol/views.ts";
import type { EventStore } from "../store/events.ts";

export type EventLevel = EventView["level"];
export type RecordEvent = (level: EventLevel, kind: string, subject: string, message: string) => void;

const recentMax = 100;

export interface EventLog {
  record: RecordEvent;
  /** The newest, newest last. */
  recent(): EventView[];
}

export function createEventLog(store: EventStore, clock: Clock, log: Log): EventLog {
  const recent = store.list({ limit: recentMax });
  return {
    record(level, kind, subject, message) {
      const event = store.append({ atMs: clock.nowMs(), level, kind, subject, message });
      recent.push(event);
      if (recent.length > recentMax) recent.shift();
      log[level](message, { event: kind });
    },
    recent: () => recent,
  };
}

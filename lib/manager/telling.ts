/**
 * What the manager tells other programs by itself: events to webhooks, spans of traced requests to a collector. Both
 * are named in the configuration file, and change with it.
 */
import type { Configuration } from "../deployment/specification.ts";
import type { Store } from "../store/store.ts";
import type { EventLog } from "./events.ts";
import { TraceExport, type TraceExportOptions } from "./trace_export.ts";
import { Webhooks } from "./webhooks.ts";

export interface Telling {
  readonly traces: Pick<TraceExport, "observe">;
  /** Takes over what the configuration in force says. */
  configure(configuration: Pick<Configuration, "notify" | "traces">): void;
  close(): Promise<void>;
}

export function createTelling(options: TraceExportOptions & { store: Store }, events: EventLog): Telling {
  const { clock, log, cluster, store } = options;
  const traces = new TraceExport(options);
  const webhooks = new Webhooks({ clock, log, cluster, events: store.events, settings: store.settings });
  const stop = events.onRecorded(() => webhooks.observe());
  return {
    traces,
    configure(configuration) {
      webhooks.configure(configuration.notify);
      traces.configure(configuration.traces ?? null);
    },
    async close() {
      stop();
      await Promise.all([webhooks.close(), traces.close()]);
    },
  };
}

/** `GET /v1/live`: the overview once a second as server-sent events, computed once for all who watch. */
import type { Clock } from "../../clock.ts";

export interface Live {
  /** A new subscriber's response. */
  response(): Response;
  close(): void;
}

const periodMs = 1000;

/** `snapshot` is called only while someone watches. A reader that is three events behind is dropped. */
export function createLive(clock: Clock, snapshot: () => string): Live {
  const watchers = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const encoder = new TextEncoder();
  let stop: (() => void) | null = null;

  function drop(watcher: ReadableStreamDefaultController<Uint8Array>): void {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    stop?.();
    stop = null;
  }
  function tick(): void {
    const event = encoder.encode(`data: ${snapshot()}\n\n`);
    for (const watcher of [...watchers]) {
      if ((watcher.desiredSize ?? 0) > -3) {
        watcher.enqueue(event);
        continue;
      }
      drop(watcher);
      watcher.close();
    }
  }
  return {
    response() {
      let own: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          own = controller;
          watchers.add(controller);
          controller.enqueue(encoder.encode(`retry: 1000\ndata: ${snapshot()}\n\n`));
          stop ??= clock.every(periodMs, tick);
        },
        cancel: () => drop(own),
      });
      return new Response(body, {
        headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
      });
    },
    close() {
      for (const watcher of [...watchers]) {
        drop(watcher);
        watcher.close();
      }
    },
  };
}

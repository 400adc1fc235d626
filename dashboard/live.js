// @ts-check
/**
 * The live overview: `GET /v1/live`, server-sent events, one a second. A stream that broke, or that says nothing
 * for longer than a few of its beats, is replaced by a new one, with growing pauses in between.
 */

/** @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView */

const silenceMsMax = 5000;
const retryMsMin = 500;
const retryMsMax = 8000;

/**
 * @param {object} options
 * @param {(overview: OverviewView) => void} options.onOverview
 * @param {() => Promise<boolean>} options.mayRetry asked after each break; false ends it all (the session is over)
 * @returns {{ ageMs(): number | null, close(): void }} the age of the newest data; null before the first
 */
export function openLive({ onOverview, mayRetry }) {
  /** @type {EventSource | null} */
  let source = null;
  let retryMs = retryMsMin;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;
  let openedAt = 0;
  /** @type {number | null} */
  let lastAt = null;
  let closed = false;

  function open() {
    openedAt = performance.now();
    source = new EventSource("/v1/live");
    source.addEventListener("message", (event) => receive(event.data));
    source.addEventListener("error", () => replace());
  }

  /** @param {string} data */
  function receive(data) {
    lastAt = performance.now();
    retryMs = retryMsMin;
    onOverview(JSON.parse(data));
  }

  /** The browser's own retry can't see a stream that is open but silent, so each break is handled here. */
  function replace() {
    source?.close();
    source = null;
    if (closed || retryTimer) return;
    const delayMs = retryMs * (0.75 + Math.random() / 2);
    retryMs = Math.min(retryMsMax, retryMs * 2);
    retryTimer = setTimeout(async () => {
      retryTimer = undefined;
      const goOn = await mayRetry().catch(() => true);
      if (goOn && !closed) open();
    }, delayMs);
  }

  const watch = setInterval(() => {
    const heardAt = Math.max(openedAt, lastAt ?? 0);
    if (source && performance.now() - heardAt > silenceMsMax) replace();
  }, 1000);

  // A laptop that wakes up should not wait for the pause to pass.
  function wake() {
    if (source || closed) return;
    clearTimeout(retryTimer);
    retryTimer = undefined;
    retryMs = retryMsMin;
    open();
  }
  addEventListener("online", wake);

  open();
  return {
    ageMs: () => lastAt === null ? null : performance.now() - lastAt,
    close() {
      closed = true;
      removeEventListener("online", wake);
      clearTimeout(retryTimer);
      clearInterval(watch);
      source?.close();
    },
  };
}

/**
 * Sends the spans of traced requests to an OpenTelemetry collector, in batches. From the dispatcher's outcomes → here →
 * the collector named in the configuration. Off unless one is named; a collector that is slow or away costs spans,
 * never requests. Invariant: at most one export is under way, and the queue is bounded.
 */
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { encodeSpans, type Span, spanOf } from "../metrics/otlp.ts";
import { formatRequestId, frameMeta } from "../protocol/frame.ts";
import type { RequestOutcome } from "../request_outcome.ts";
import type { RequestFrame } from "../scheduling/dispatcher_options.ts";
import { traceHeader } from "../trace_context.ts";
import { describeOutgoing } from "./outgoing.ts";
import { counted } from "../words.ts";

export interface TraceSettings {
  /** The collector's whole address, e.g. `http://otel.local:4318/v1/traces`. */
  url: string;
  headers: Record<string, string>;
}

export interface TraceExportOptions {
  clock: Clock;
  log: Log;
  cluster: string;
  version: string;
  /** The upper half of every request id. */
  bootEpoch: number;
}

const exportEveryMs = 2000;
const exportMsMax = 10_000;
const closeMsMax = 2000;
const spansPerExport = 512;
const spansWaitingMax = 4096;
/** How often it is told that spans are lost. */
const tellEveryMs = 60_000;

export class TraceExport {
  readonly #options: TraceExportOptions;
  #settings: TraceSettings | null = null;
  #waiting: Span[] = [];
  #lost = 0;
  #toldAtMs = -Infinity;
  #exporting: Promise<void> | null = null;
  #stop: (() => void) | null = null;
  readonly #closed = new AbortController();

  constructor(options: TraceExportOptions) {
    this.#options = options;
  }

  /** Takes over the configuration's collector; null turns it off. */
  configure(settings: TraceSettings | null): void {
    this.#settings = settings;
    this.#stop?.();
    this.#stop = settings ? this.#options.clock.every(exportEveryMs, () => void this.flush()) : null;
    if (!settings) this.#waiting = [];
  }

  /** Keeps the request's span when it is traced. While nothing is configured it costs one look. */
  observe(outcome: RequestOutcome, request: RequestFrame | undefined): void {
    if (this.#settings === null || request === undefined) return;
    const traceparent = traceparentOf(request);
    if (traceparent === undefined) return;
    const { clock, bootEpoch } = this.#options;
    const requestId = formatRequestId(bootEpoch >>> 0, outcome.number);
    const span = spanOf(outcome, traceparent, requestId, clock.nowMs());
    if (!span) return;
    if (this.#waiting.length < spansWaitingMax) this.#waiting.push(span);
    else this.#lost++;
  }

  /** Sends what waits; resolves when it has been sent, or is lost. */
  flush(): Promise<void> {
    this.#exporting ??= this.#exportAll().finally(() => this.#exporting = null);
    return this.#exporting;
  }

  /** Sends what is left, as far as that is soon done: nobody waits for a collector that hangs. */
  async close(): Promise<void> {
    this.#stop?.();
    this.#stop = null;
    const cancel = this.#options.clock.after(closeMsMax, () => this.#closed.abort());
    await this.flush();
    cancel();
  }

  async #exportAll(): Promise<void> {
    while (this.#waiting.length > 0 && this.#settings && !this.#closed.signal.aborted) {
      await this.#exportOnce(this.#settings, this.#waiting.splice(0, spansPerExport));
    }
    this.#tellLost();
  }

  async #exportOnce({ url, headers }: TraceSettings, spans: Span[]): Promise<void> {
    const { clock, cluster, version, log } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(exportMsMax, () => late.abort());
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: encodeSpans(spans, cluster, version),
        signal: AbortSignal.any([late.signal, this.#closed.signal]),
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`the collector answered ${response.status}`);
    } catch (thrown) {
      this.#lost += spans.length;
      log.debug("spans could not be exported", { error: describeOutgoing(thrown, url) });
    } finally {
      cancel();
    }
  }

  #tellLost(): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#lost === 0 || nowMs - this.#toldAtMs < tellEveryMs) return;
    log.warn(`${counted(this.#lost, "span was", "spans were")} lost: the collector for traces takes none`);
    this.#lost = 0;
    this.#toldAtMs = nowMs;
  }
}

/** Of the request's headers; most requests have none. */
function traceparentOf({ bytes, at }: RequestFrame): string | undefined {
  try {
    const meta = frameMeta(bytes, at);
    if (!meta.includes(traceHeader)) return undefined;
    const value = (JSON.parse(meta) as Record<string, unknown>)[traceHeader];
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

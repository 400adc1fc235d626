/**
 * Tells other programs of events: each event that a webhook of the configuration asks for is posted to it as JSON,
 * signed, in order. From the event log → here → the address. What has been delivered is remembered in the store, so
 * that a manager that was restarted, or an address that was away, misses nothing that is younger than a day.
 * Invariant: at least once, in order, one request at a time for each webhook.
 */
import { createHmac } from "node:crypto";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { EventKind } from "../protocol/event_kinds.ts";
import type { EventView } from "../protocol/views.ts";
import { sha256Hex } from "../security/digest.ts";
import type { EventStore } from "../store/events.ts";
import type { SettingStore } from "../store/settings.ts";
import { describeOutgoing } from "./outgoing.ts";

export interface Webhook {
  url: string;
  on: EventKind[];
  /** Signs what is sent; unsigned without. */
  secret?: string;
}

export interface WebhooksOptions {
  clock: Clock;
  log: Log;
  cluster: string;
  events: Pick<EventStore, "list" | "lastId">;
  settings: Pick<SettingStore, "get" | "set" | "remove">;
}

const answerMsMax = 10_000;
const retryMsMin = 1000;
const retryMsMax = 5 * 60_000;
/** An event that could not be delivered for so long is given up. */
const deliverWithinMs = 24 * 3600_000;
const batchMax = 100;

export class Webhooks {
  readonly #options: WebhooksOptions;
  #deliveries: Delivery[] = [];

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  /** Takes over the configuration's webhooks. One that is new hears of what happens from now on. */
  configure(webhooks: readonly Webhook[]): void {
    const kept = new Map(this.#deliveries.map((delivery) => [JSON.stringify(delivery.webhook), delivery]));
    const next = webhooks.map((webhook) =>
      kept.get(JSON.stringify(webhook)) ?? new Delivery(this.#options, webhook)
    );
    const keys = new Set(next.map(({ key }) => key));
    for (const delivery of this.#deliveries) {
      if (next.includes(delivery)) continue;
      void delivery.close().then(() => keys.has(delivery.key) || delivery.forget());
    }
    this.#deliveries = next;
    this.observe();
  }

  /** Something was recorded. */
  observe(): void {
    for (const delivery of this.#deliveries) delivery.wake();
  }

  /** Ends all; what is under way is cut and comes again at the next start. */
  async close(): Promise<void> {
    await Promise.all(this.#deliveries.map((delivery) => delivery.close()));
    this.#deliveries = [];
  }
}

/** The way to one address. */
class Delivery {
  readonly #options: WebhooksOptions;
  /** Under which the store remembers what it was told. */
  readonly key: string;
  /** The last event that was delivered, or not asked for. */
  #doneId: number;
  #storedId: number;
  #running: Promise<void> | null = null;
  /** Something was recorded since the last look. */
  #hasNews = false;
  /** Tries in a row that came to nothing. */
  #failures = 0;
  #cancelRetry: (() => void) | null = null;
  #closed = new AbortController();

  constructor(options: WebhooksOptions, readonly webhook: Webhook) {
    this.#options = options;
    this.key = `webhook ${sha256Hex(JSON.stringify([webhook.url, webhook.on]))}`;
    const known = options.settings.get<number>(this.key);
    this.#doneId = this.#storedId = known ?? options.events.lastId();
    if (known === undefined) options.settings.set(this.key, this.#doneId);
  }

  /** Delivers what there is, unless it is at it or waits for another try. */
  wake(): void {
    this.#hasNews = true;
    if (this.#running || this.#cancelRetry || this.#closed.signal.aborted) return;
    this.#running = this.#run();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      await this.#deliverAll();
    } catch (thrown) {
      this.#options.log.warn("events could not be read for a webhook", { error: describeError(thrown) });
      this.#failures++;
      this.#retryLater();
    }
    this.#running = null;
    if (this.#hasNews) this.wake();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    await this.#running;
    this.#remember();
  }

  /** Once closed: it is not configured any more, and begins anew if ever it is. */
  forget(): void {
    try {
      this.#options.settings.remove(this.key);
    } catch (thrown) {
      this.#options.log.warn("a webhook that is gone could not be forgotten", {
        error: describeError(thrown),
      });
    }
  }

  async #deliverAll(): Promise<void> {
    const { events, clock } = this.#options;
    while (!this.#closed.signal.aborted) {
      this.#hasNews = false;
      const batch = events.list({ afterId: this.#doneId, limit: batchMax });
      if (batch.length === 0) return;
      for (const event of batch) {
        if (this.#wants(event) && clock.nowMs() - event.atMs < deliverWithinMs) {
          if (!await this.#deliver(event)) return this.#retryLater();
          this.#doneId = event.id;
          this.#remember();
        }
        this.#doneId = event.id;
      }
    }
  }

  #wants({ kind }: EventView): boolean {
    return this.webhook.on.some((wanted) => wanted === kind);
  }

  async #deliver(event: EventView): Promise<boolean> {
    const { clock, cluster, log } = this.#options;
    const body = JSON.stringify({ cluster, event });
    const signal = new AbortController();
    const stop = () => signal.abort();
    const cancel = clock.after(answerMsMax, stop);
    this.#closed.signal.addEventListener("abort", stop);
    try {
      const headers = { "content-type": "application/json", ...signed(body, this.webhook, clock.nowMs()) };
      const response = await fetch(this.webhook.url, {
        method: "POST",
        headers,
        body,
        signal: signal.signal,
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      this.#failures = 0;
      return true;
    } catch (thrown) {
      if (!this.#closed.signal.aborted && this.#failures++ === 0) {
        const { url } = this.webhook;
        log.warn("a webhook takes no event; it is tried again", {
          host: new URL(url).host,
          error: describeOutgoing(thrown, url),
        });
      }
      return false;
    } finally {
      cancel();
      this.#closed.signal.removeEventListener("abort", stop);
    }
  }

  #retryLater(): void {
    if (this.#closed.signal.aborted) return;
    const delayMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.max(0, this.#failures - 1));
    this.#cancelRetry = this.#options.clock.after(delayMs, () => {
      this.#cancelRetry = null;
      this.wake();
    });
  }

  /** Only deliveries are worth a write: events nobody asked for are looked at again after a restart. */
  #remember(): void {
    if (this.#storedId === this.#doneId) return;
    try {
      this.#options.settings.set(this.key, this.#doneId);
      this.#storedId = this.#doneId;
    } catch (thrown) {
      this.#options.log.warn("what a webhook was told could not be stored; it may hear it again", {
        error: describeError(thrown),
      });
    }
  }
}

/** An HMAC over the time and the body, so that a recorded request can't be sent again later. */
function signed(body: string, { secret }: Webhook, nowMs: number): Record<string, string> {
  if (secret === undefined) return {};
  const seconds = Math.floor(nowMs / 1000);
  const signature = createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
  return { "sqwish-signature": `t=${seconds},v1=${signature}` };
}

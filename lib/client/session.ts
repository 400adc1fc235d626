/**
 * Keeps one connection alive for as long as its owner wants: dials, and after every loss dials again with backoff.
 * It ends by itself only when the manager refuses these credentials or this protocol; everything else may pass.
 */
import type { Clock } from "../clock.ts";
import { asSqwishError, type ErrorCode, SqwishError } from "../errors.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Welcome } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import { reconnectDelayMs } from "./backoff.ts";
import { type Link, openLink } from "./link.ts";

export interface SessionOptions {
  clock: Clock;
  random: Random;
  /** One round over the known addresses; resolves with the first that answers. `signal`: nobody wants it any more. */
  dial(signal: AbortSignal): Promise<Channel>;
  /** Asked before each attempt: true until credentials of its own are there. */
  enroll(): boolean;
  version: string;
  onOpen(channel: Channel, welcome: Welcome): void;
  onFrames(message: Uint8Array): void;
  onLost(reason: string): void;
  /** It will never come back. Not called by `close`. */
  onEnd(error: SqwishError): void;
}

/** Trying again can't help with these; a person must do something. */
const finalCodes: ReadonlySet<ErrorCode> = new Set([
  "unauthenticated",
  "forbidden",
  "version_mismatch",
  "invalid_request",
]);

const unwanted = "no longer wanted";

export class Session {
  readonly #options: SessionOptions;
  #link: Link | null = null;
  /** Dialled, and its welcome hasn't come. */
  #greeted: Channel | null = null;
  readonly #ending = new AbortController();
  #failures = 0;
  #cancelRedial: (() => void) | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * The first connection: tries until it is open, a refusal is final, or `withinMs` have passed, but at least once.
   * Rejects with the last failure; nothing goes on behind the caller's back then.
   */
  async open(withinMs: number): Promise<Welcome> {
    const { clock, random } = this.#options;
    const endMs = clock.monotonicMs() + withinMs;
    for (let failures = 1;; failures++) {
      try {
        return await this.#connect();
      } catch (thrown) {
        const error = asSqwishError(thrown, "Connecting to the manager");
        const delayMs = delayAfter(error, failures, random);
        if (this.#closed || isFinal(error) || clock.monotonicMs() + delayMs > endMs) throw error;
        await this.#pause(delayMs);
        if (this.#closed) throw error;
      }
    }
  }

  /** Ends it, wherever it stands: dialling, waiting or open. Resolves when the socket is closed. Idempotent. */
  async close(): Promise<void> {
    this.#ending.abort();
    this.#cancelRedial?.();
    this.#greeted?.abandon(unwanted);
    await this.#link?.close();
  }

  get #closed(): boolean {
    return this.#ending.signal.aborted;
  }

  async #connect(): Promise<Welcome> {
    const { clock } = this.#options;
    const channel = await this.#options.dial(this.#ending.signal);
    this.#greeted = channel;
    // A dial that could not be stopped any more must leave nothing open.
    if (this.#closed) channel.abandon(unwanted);
    try {
      const link = await openLink(channel, {
        clock,
        enroll: this.#options.enroll(),
        version: this.#options.version,
        onOpen: (opened) => {
          this.#greeted = null;
          this.#link = opened;
          this.#failures = 0;
          this.#options.onOpen(opened.channel, opened.welcome);
        },
        onFrames: (message) => this.#options.onFrames(message),
        onClose: (reason) => this.#lost(reason),
      });
      return link.welcome;
    } finally {
      if (this.#greeted === channel) this.#greeted = null;
    }
  }

  /** Shorter when it is closed meanwhile. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(delayMs, resolve);
      this.#cancelRedial = () => {
        cancel();
        resolve();
      };
    });
  }

  #lost(reason: string): void {
    this.#link = null;
    this.#options.onLost(reason);
    this.#redial(new SqwishError("manager_lost", reason));
  }

  #redial(error: SqwishError): void {
    if (this.#closed) return;
    this.#failures++;
    const delayMs = delayAfter(error, this.#failures, this.#options.random);
    this.#cancelRedial = this.#options.clock.after(delayMs, () => {
      this.#cancelRedial = null;
      this.#connect().catch((thrown) => {
        const failure = asSqwishError(thrown, "Connecting to the manager");
        if (this.#closed) return;
        if (isFinal(failure)) this.#options.onEnd(failure);
        else this.#redial(failure);
      });
    });
  }
}

/** A lock after too many wrong passwords passes, and says when. */
function retryAfterMs(error: SqwishError): number {
  const { retryAfterMs } = error.details;
  return typeof retryAfterMs === "number" && Number.isFinite(retryAfterMs) ? retryAfterMs : 0;
}

function isFinal(error: SqwishError): boolean {
  return finalCodes.has(error.code) && retryAfterMs(error) === 0;
}

function delayAfter(error: SqwishError, failures: number, random: Random): number {
  return Math.max(retryAfterMs(error), reconnectDelayMs(failures, random));
}

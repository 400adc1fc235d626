/**
 * One established connection: dialled channel → hello → welcome → frames, with pings so that a manager that
 * vanished without a word is noticed. The session above dials the next one; a link is never used again.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Channel } from "../protocol/channel.ts";
import {
  encodeMessage,
  errorOfBye,
  type MessageToPeer,
  parseMessageToPeer,
  protocolVersion,
  type Welcome,
} from "../protocol/messages.ts";

export interface LinkOptions {
  clock: Clock;
  /** True: signed in with a join token, asks for credentials of its own. */
  enroll: boolean;
  /** This program's version, for the manager's log. */
  version: string;
  /** At the welcome, before any frame behind it is delivered. */
  onOpen(link: Link): void;
  onFrames(message: Uint8Array): void;
  /** Once, and only for a link that had been opened. */
  onClose(reason: string): void;
}

export interface Link {
  readonly channel: Channel;
  readonly welcome: Welcome;
  /** Resolves when the channel is closed. */
  close(): Promise<void>;
}

/** Rejects with the manager's refusal, or `manager_lost` when it says nothing in time. The channel is then closed. */
export function openLink(channel: Channel, options: LinkOptions): Promise<Link> {
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const closed = Promise.withResolvers<void>();
  const { clock } = options;
  let opened = false;
  let farewell = "";
  let lastHeardMs = clock.monotonicMs();
  let stopPings = () => {};

  const stopWaiting = clock.after(limits.handshakeMsMax, () => {
    fail(lost(`The manager did not say welcome within ${limits.handshakeMsMax} ms`));
  });

  /** Before the welcome the caller learns of it; after, closing is what says it. */
  function fail(error: SqwishError): void {
    if (!opened) reject(error);
    farewell ||= error.message;
    channel.abandon(error.message.slice(0, 120));
  }

  function receive(message: MessageToPeer): void {
    if (message.type === "welcome" && !opened) {
      opened = true;
      stopWaiting();
      stopPings = startPings(channel, clock, () => lastHeardMs, () => fail(lost("The manager is silent")));
      const link: Link = {
        channel,
        welcome: message,
        close: () => {
          channel.close();
          return closed.promise;
        },
      };
      options.onOpen(link);
      resolve(link);
    } else if (message.type === "bye") {
      farewell = message.message;
      if (!opened) fail(errorOfBye(message));
    }
  }

  channel.start({
    onControl(text) {
      lastHeardMs = clock.monotonicMs();
      guard(() => receive(parseMessageToPeer(text)));
    },
    onFrames(message) {
      lastHeardMs = clock.monotonicMs();
      guard(() => options.onFrames(message));
    },
    onMalformed: (error) =>
      guard(() => {
        throw error;
      }),
    onClose(close) {
      stopWaiting();
      stopPings();
      closed.resolve();
      const reason = farewell || close.reason || "the connection broke";
      if (opened) options.onClose(reason);
      else reject(lost(`The manager closed the connection: ${reason}`));
    },
  });

  /** What can't be read means that the two sides no longer agree on where a frame starts. */
  function guard(action: () => void): void {
    try {
      action();
    } catch (thrown) {
      if (!(thrown instanceof SqwishError)) throw thrown;
      fail(new SqwishError("manager_lost", "The manager sent what can't be read", { cause: thrown }));
    }
  }

  channel.sendControl(encodeMessage({
    type: "hello",
    role: "client",
    protocol: protocolVersion,
    version: options.version,
    enroll: options.enroll,
  }));
  return promise;
}

/** Pings until stopped; `onSilent` once when nothing at all was heard for `limits.clientLostAfterMs`. */
function startPings(
  channel: Channel,
  clock: Clock,
  lastHeardMs: () => number,
  onSilent: () => void,
): () => void {
  let sequence = 0;
  const stop = clock.every(limits.clientPingMs, () => {
    if (clock.monotonicMs() - lastHeardMs() >= limits.clientLostAfterMs) {
      stop();
      onSilent();
    } else {
      channel.sendControl(encodeMessage({ type: "ping", sequence: ++sequence }));
    }
  });
  return stop;
}

function lost(message: string): SqwishError {
  return new SqwishError("manager_lost", message, { details: { mayHaveRun: "no" } });
}

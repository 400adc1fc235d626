/**
 * Keeps an agent in its cluster: dials, runs a session until it ends, waits with jittered exponential backoff, dials
 * again, for ever. Only the very first join with a token may fail for good; after that every refusal is retried, since
 * a manager that was restored from a backup or moved must find its agents waiting.
 */
import type { Clock } from "../clock.ts";
import { Dialer, type Network } from "../client/dialer.ts";
import { reconnectDelayMs } from "../client/backoff.ts";
import { asSqwishError, describeError, type ErrorCode, type SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Channel } from "../protocol/channel.ts";
import type { Welcome } from "../protocol/messages.ts";
import type { Random } from "../random.ts";
import type { AgentIdentity } from "./identity.ts";
import type { AgentSession } from "./session.ts";

export interface MembershipOptions {
  identity: AgentIdentity;
  clock: Clock;
  random: Random;
  log: Log;
  store(identity: AgentIdentity): Promise<void>;
  openSession(channel: Channel, enroll: boolean, onWelcome: (welcome: Welcome) => void): AgentSession;
  /** The real one unless given. */
  network?: Network;
}

export interface Membership {
  /** The session now open, if any. */
  readonly session: AgentSession | null;
  /** Settles when the first join with a token was refused; never after a welcome. */
  readonly refused: Promise<SqwishError>;
  /** Leaves the cluster, after `finish` has had the connection for what is still to be answered, and stops dialling. */
  leave(message: string, finish?: () => Promise<void>): Promise<void>;
}

/** Reasons to stay out that pass by themselves; about any other a person must do something. */
const passing: ReadonlySet<ErrorCode> = new Set(["manager_lost", "queue_full", "internal"]);

const unknownAdvice =
  "this agent's account is gone or its password was changed; stop it and start it with --join TOKEN " +
  "(`manager token agent` prints one)";

/** Whoever leaves does not wait longer for a dial that is under way. */
const leaveMsMax = 2000;

/** A session that lasted this long starts the backoff over, whatever it ended by. */
const steadyMs = 10_000;
export function keepMembership(options: MembershipOptions): Membership {
  const { clock, random, log } = options;
  const { name, identity, ...target } = options.identity;
  const dialer = new Dialer(target, options.network);
  const refused = Promise.withResolvers<SqwishError>();
  let session: AgentSession | null = null;
  let leaving = false;
  let wake: () => void = () => {};
  let failures = 0;
  let stored = JSON.stringify(target);

  async function connectOnce(): Promise<SqwishError> {
    let channel: Channel;
    try {
      channel = await dialer.dial();
    } catch (thrown) {
      return asSqwishError(thrown, "Dialling the manager");
    }
    if (leaving) {
      channel.abandon("leaving");
      return asSqwishError(new Error("leaving"), "Joining");
    }
    const startedMs = clock.monotonicMs();
    let welcomed = false;
    session = options.openSession(channel, dialer.target.enroll, (welcome) => {
      welcomed = true;
      log.info(`joined cluster ${welcome.cluster}`, {
        manager: channel.remoteAddress,
        version: welcome.version,
      });
      dialer.welcomed(welcome);
      const text = JSON.stringify(dialer.target);
      if (text === stored) return;
      stored = text;
      options.store({ name, identity, ...dialer.target }).catch((thrown) => {
        log.error("the identity could not be stored; the next start may need a new token", {
          error: describeError(thrown),
        });
      });
    });
    const ended = await session.ended;
    session = null;
    // A manager that let us in works, however often it is restarted; one that then sent us away has its reasons.
    const wasCutOff = welcomed && ended.code === "manager_lost";
    if (wasCutOff || clock.monotonicMs() - startedMs > steadyMs) failures = 0;
    return ended;
  }

  async function run(): Promise<void> {
    while (!leaving) {
      const error = await connectOnce();
      if (leaving) break;
      failures++;
      // A lock after wrong passwords says when it ends.
      const passes = passing.has(error.code) || typeof error.details.retryAfterMs === "number";
      if (dialer.target.enroll && !passes) return refused.resolve(error);
      const delayMs = reconnectDelayMs(failures, random);
      // Not for sure, so it keeps trying: the manager may have gone back to an older backup for a while.
      const isUnknown = error.code === "unauthenticated" && !passes;
      log.warn(`not connected, trying again in ${(delayMs / 1000).toFixed(1)} s`, {
        reason: describeError(error) + (isUnknown ? `; ${unknownAdvice}` : ""),
      });
      await new Promise<void>((resolve) => {
        const cancel = clock.after(delayMs, resolve);
        wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }

  const running = run();
  return {
    get session() {
      return session;
    },
    refused: refused.promise,
    async leave(message, finish) {
      leaving = true;
      wake();
      session?.sayGoodbye(message);
      if (finish) await finish();
      // A connection that still has replies to send ends once they have left.
      const waitMs = leaveMsMax + (session ? limits.closeTransferMsMax + limits.sendStallMsMax : 0);
      session?.leave(message);
      await new Promise<void>((resolve) => {
        const cancel = clock.after(waitMs, resolve);
        void running.then(() => {
          cancel();
          resolve();
        });
      });
    },
  };
}

/** The two ways to be someone: a password (checked by `security/authenticator`) or a signed session. */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Random } from "../random.ts";
import { type Authenticator, createAuthenticator } from "../security/authenticator.ts";
import { Lockout } from "../security/lockout.ts";
import { credentialTag, issueSession, verifySession } from "../security/session.ts";
import type { UserStore } from "../store/users.ts";
import type { SignIn } from "./api/sign_in.ts";
import type { RecordEvent } from "./events.ts";

export interface SignInOptions {
  users: UserStore;
  clock: Clock;
  random: Random;
  sessionKey: Uint8Array;
  record: RecordEvent;
}

export interface ManagerSignIn extends SignIn, Pick<Authenticator, "consume"> {
  /** Another text for every password of a user; undefined when there is no such user. */
  credentialTag(user: string): string | undefined;
}

/** Locks that have been told and not forgotten yet. */
const toldMax = 1000;

export function createSignIn(options: SignInOptions): ManagerSignIn {
  const { users, clock, random, sessionKey: key, record } = options;
  const authenticator = createAuthenticator({ credentials: users, clock, random, lockout: new Lockout() });
  const tagOf = (name: string) => {
    const user = users.find(name);
    return user && credentialTag(user.passwordHash);
  };
  /** Until when an address's lock has been told, monotonic ms. */
  const toldUntilMs = new Map<string, number>();

  /** Once per lock: whoever keeps trying must not fill the store with events. */
  function tellLock(address: string, retryAfterMs: number, reason: string): void {
    const nowMs = clock.monotonicMs();
    if ((toldUntilMs.get(address) ?? 0) > nowMs) return;
    toldUntilMs.delete(address);
    toldUntilMs.set(address, nowMs + retryAfterMs);
    const [oldest] = toldUntilMs.keys();
    if (toldUntilMs.size > toldMax) toldUntilMs.delete(oldest);
    record("warn", "sign_in_locked", address, `Sign-ins from ${address} are locked: ${reason}`);
  }

  return {
    async authenticate(attempt) {
      try {
        return await authenticator.authenticate(attempt);
      } catch (thrown) {
        if (thrown instanceof SqwishError && thrown.code === "unauthenticated") {
          const { retryAfterMs } = thrown.details;
          if (typeof retryAfterMs === "number") tellLock(attempt.address, retryAfterMs, thrown.message);
        }
        throw thrown;
      }
    },
    consume: (name) => authenticator.consume(name),
    credentialTag: tagOf,
    issueSession: (principal) =>
      issueSession({
        name: principal.name,
        key,
        nowMs: clock.nowMs(),
        lifetimeMs: limits.sessionMs,
        credentialTag: tagOf(principal.name) ?? "",
      }),
    verifySession(token) {
      const { name } = verifySession(token, { key, nowMs: clock.nowMs(), credentialTagOf: tagOf });
      const user = users.find(name);
      if (!user) throw new SqwishError("unauthenticated", "The session's user is gone; sign in again");
      // A token may have opened it, and must not live on in it.
      if (user.expiresAtMs !== undefined && clock.nowMs() >= user.expiresAtMs) {
        throw new SqwishError("unauthenticated", `User ${name} has expired; sign in as another`);
      }
      return { name, role: user.role, endpoints: user.endpoints };
    },
  };
}

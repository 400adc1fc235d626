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

export function createSignIn(options: SignInOptions): SignIn & Pick<Authenticator, "consume"> {
  const { users, clock, random, sessionKey: key, record } = options;
  const authenticator = createAuthenticator({ credentials: users, clock, random, lockout: new Lockout() });
  const tagOf = (name: string) => {
    const user = users.find(name);
    return user && credentialTag(user.passwordHash);
  };
  return {
    async authenticate(attempt) {
      try {
        return await authenticator.authenticate(attempt);
      } catch (thrown) {
        if (
          thrown instanceof SqwishError && thrown.details.retryAfterMs !== undefined &&
          thrown.code === "unauthenticated"
        ) {
          record(
            "warn",
            "sign_in_locked",
            attempt.address,
            `Sign-ins from ${attempt.address} are locked: ${thrown.message}`,
          );
        }
        throw thrown;
      }
    },
    consume: (name) => authenticator.consume(name),
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
      return { name, role: user.role, endpoints: user.endpoints };
    },
  };
}

/**
 * The two ways to be someone: a password (checked by `security/authenticator`) or a signed session. And what an HTTP
 * connection keeps of it between its requests.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Random } from "../random.ts";
import { type Authenticator, createAuthenticator } from "../security/authenticator.ts";
import { Lockout } from "../security/lockout.ts";
import type { Principal } from "../security/access.ts";
import { isSecretHash } from "../security/passwords.ts";
import { credentialTag, issueSession, verifySession } from "../security/session.ts";
import type { UserRecord, UserStore } from "../store/users.ts";
import { parseBasic, type SignIn, signInBy, type Standing } from "./api/sign_in.ts";
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
  /** By the value of an `Authorization` header, as `authenticate` and `verifySession`; and what may be kept of it. */
  signIn(authorization: string, address: string): Promise<{ principal: Principal; standing: Standing }>;
}

const nobody: Standing = { principal: () => null };

/** Locks that have been told and not forgotten yet. */
const toldMax = 1000;

export function createSignIn(options: SignInOptions): ManagerSignIn {
  const { users, clock, random, sessionKey: key, record } = options;
  const lockout = new Lockout();
  const authenticator = createAuthenticator({ credentials: users, clock, random, lockout });
  const recent = new RecentUsers(users, clock);
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

  /** Whatever would make signing in fail now ends it; the failure is then told by signing in anew. */
  function standingOf(name: string, lockAddress: string | null, endMs: number): Standing {
    const passwordHash = users.find(name)?.passwordHash;
    // As at signing in: a lock holds for passwords of people only.
    const isLockable = lockAddress !== null && passwordHash !== undefined && !isSecretHash(passwordHash);
    return {
      principal() {
        const user = recent.find(name);
        if (!user || user.passwordHash !== passwordHash || user.once) return null;
        if (Math.min(endMs, user.expiresAtMs ?? Infinity) <= clock.nowMs()) return null;
        if (isLockable && lockout.check(lockAddress, clock.monotonicMs()) > 0) return null;
        return { name, role: user.role, endpoints: user.endpoints };
      },
    };
  }

  /** Made before the sign-in it is of: what changes meanwhile must not pass for checked. */
  function standingBy(authorization: string, address: string): Standing {
    const [scheme, value = ""] = authorization.split(" ", 2);
    if (!/^bearer$/i.test(scheme)) return standingOf(parseBasic(value).user, address, Infinity);
    const { name, expiresAtMs } = verifySession(value, { key, nowMs: clock.nowMs(), credentialTagOf: tagOf });
    return standingOf(name, null, expiresAtMs);
  }

  const signIn: ManagerSignIn = {
    async signIn(authorization, address) {
      const scheme = /^(basic|bearer) /i.test(authorization);
      const standing = scheme ? standingBy(authorization, address) : nobody;
      return { principal: await signInBy(authorization, address, signIn), standing };
    },
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
  return signIn;
}

/**
 * Users as the store has them now, read at most once a millisecond: a command beside the manager changes them too,
 * and nobody can tell its end from that of a request within the same one. What changes here counts at once.
 */
class RecentUsers {
  readonly #users: UserStore;
  readonly #clock: Clock;
  readonly #found = new Map<string, UserRecord | undefined>();
  #atMs = -1;
  #changes = -1;

  constructor(users: UserStore, clock: Clock) {
    this.#users = users;
    this.#clock = clock;
  }

  find(name: string): UserRecord | undefined {
    const atMs = Math.floor(this.#clock.monotonicMs());
    if (atMs !== this.#atMs || this.#users.changes !== this.#changes) {
      this.#found.clear();
      this.#atMs = atMs;
      this.#changes = this.#users.changes;
    }
    if (!this.#found.has(name)) this.#found.set(name, this.#users.find(name));
    return this.#found.get(name);
  }
}

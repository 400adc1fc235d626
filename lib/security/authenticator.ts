/**
 * Turns a user name and a password into a `Principal`: for every HTTP request and every join, before access.ts.
 * Invariants: nobody learns whether a user exists, neither by words nor by time; a removed user or a changed
 * password counts from the next call on; guessing people's passwords is slowed down by address.
 */
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import type { Random } from "../random.ts";
import type { Principal, Role } from "./access.ts";
import type { Lockout } from "./lockout.ts";
import { isSecretHash, personCost, verifyPassword } from "./passwords.ts";
import { Turnstile } from "./turnstile.ts";

/** A user or a join token, as the store keeps it. */
export interface StoredCredential {
  name: string;
  role: Role;
  endpoints: string[];
  /** As made by `hashPassword()`. */
  passwordHash: string;
  /** Wall-clock ms. */
  expiresAtMs?: number;
  /** True: good for one enrolment. */
  once: boolean;
  usedAtMs?: number;
}

/** Where credentials are kept. Both are synchronous: `consume()` is atomic because of it. */
export interface CredentialStore {
  find(name: string): StoredCredential | undefined;
  markUsed(name: string, nowMs: number): void;
}

export interface SignIn {
  user: string;
  password: string;
  /** The peer's IP address. */
  address: string;
}

export interface Authenticator {
  /**
   * Resolves with who it is. Throws `unauthenticated` (wrong, expired, used up, or locked with
   * `details.retryAfterMs`) and `queue_full` when too many people sign in at once.
   */
  authenticate(signIn: SignIn): Promise<Principal>;
  /**
   * Uses up a token for one use, when its enrolment has succeeded; does nothing for others. Of several
   * enrolments with one token the first call wins and the others throw `unauthenticated`.
   */
  consume(name: string): void;
}

const checksRunningMax = 2;
const checksWaitingMax = 256;
const remembersMax = 4096;

export interface AuthenticatorDeps {
  credentials: CredentialStore;
  clock: Clock;
  random: Random;
  lockout: Lockout;
  /** `verifyPassword` unless given. */
  verify?: (password: string, stored: string) => Promise<boolean>;
}

/** An authenticator with an empty memory of verdicts; `lockout` is its own to write to. */
export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  return new PasswordAuthenticator(deps);
}

class PasswordAuthenticator implements Authenticator {
  readonly #credentials: CredentialStore;
  readonly #clock: Clock;
  readonly #lockout: Lockout;
  readonly #verify: (password: string, stored: string) => Promise<boolean>;
  readonly #turnstile = new Turnstile({
    runningMax: checksRunningMax,
    waitingMax: checksWaitingMax,
    action: "sign-ins",
  });
  // Verdicts by a keyed digest of user, password and stored hash: a memory dump of them gives nobody a
  // password, and a new hash never meets an old verdict.
  readonly #key: Uint8Array;
  readonly #right = new RecentSet(remembersMax);
  readonly #wrongSecrets = new RecentSet(remembersMax);
  readonly #checking = new Map<string, Promise<boolean>>();
  /** A hash that no password fits: checking against it costs what a person's costs. */
  readonly #nobodysHash: string;

  constructor(deps: AuthenticatorDeps) {
    this.#verify = deps.verify ?? verifyPassword;
    this.#credentials = deps.credentials;
    this.#clock = deps.clock;
    this.#lockout = deps.lockout;
    this.#key = deps.random.secret(32);
    const [salt, hash] = [deps.random.secret(16), deps.random.secret(32)].map((bytes) =>
      Buffer.from(bytes).toString("base64url")
    );
    this.#nobodysHash = `scrypt$${personCost.N}$${personCost.r}$${personCost.p}$${salt}$${hash}`;
  }

  async authenticate({ user, password, address }: SignIn): Promise<Principal> {
    const stored = this.#credentials.find(user);
    // Secrets of 256 bits can't be guessed, so a lock needs not hold for them: somebody's mistyped password
    // must not keep the agents behind the same address from coming back.
    const isSecret = stored !== undefined && isSecretHash(stored.passwordHash);
    if (!isSecret) this.#requireUnlocked(address);

    const digest = this.#digest(user, password, stored?.passwordHash);
    if (!this.#right.has(digest)) {
      await this.#checkOnce(digest, { user, password, address }, stored, isSecret);
    }
    // The user may have been removed or changed while the password was being checked.
    const current = this.#credentials.find(user);
    if (!current || current.passwordHash !== stored?.passwordHash) throw wrong();
    this.#requireUsable(current);
    return {
      name: current.name,
      role: current.role,
      endpoints: current.endpoints,
      ...(current.once && { once: true }),
    };
  }

  consume(name: string): void {
    const stored = this.#credentials.find(name);
    if (!stored) throw wrong();
    if (!stored.once) return;
    this.#requireUsable(stored);
    this.#credentials.markUsed(name, this.#clock.nowMs());
  }

  /** The same pair arriving many times at once is checked, and counted, as one. */
  async #checkOnce(
    digest: string,
    signIn: SignIn,
    stored: StoredCredential | undefined,
    isSecret: boolean,
  ): Promise<void> {
    // By address, too: one peer's lock must not answer for another.
    const key = `${digest} ${signIn.address}`;
    let check = this.#checking.get(key);
    if (!check) {
      check = this.#check(digest, signIn, stored, isSecret).finally(() => this.#checking.delete(key));
      this.#checking.set(key, check);
    }
    if (!(await check)) throw wrong();
  }

  async #check(
    digest: string,
    { password, address }: SignIn,
    stored: StoredCredential | undefined,
    isSecret: boolean,
  ): Promise<boolean> {
    // An agent that was removed retries for ever; a known failure is no guess and must not lock its address.
    if (this.#wrongSecrets.has(digest)) return false;
    if (isSecret && await this.#verify(password, stored!.passwordHash)) {
      this.#right.add(digest);
      return true;
    }
    // From here on known and unknown users take the same way, through one expensive check.
    const hash = isSecret ? this.#nobodysHash : stored?.passwordHash ?? this.#nobodysHash;
    return await this.#turnstile.run(async () => {
      // Others from this address may have failed while this one waited.
      this.#requireUnlocked(address);
      const isRight = await this.#verify(password, hash);
      // Recorded before the turnstile turns, so that whoever is next already sees it.
      if (isRight) {
        this.#right.add(digest);
        this.#lockout.observeSuccess(address);
      } else {
        if (looksGenerated(password)) this.#wrongSecrets.add(digest);
        this.#lockout.observeFailure(address, this.#clock.monotonicMs());
      }
      return isRight;
    });
  }

  #requireUnlocked(address: string): void {
    const retryAfterMs = this.#lockout.check(address, this.#clock.monotonicMs());
    if (retryAfterMs === 0) return;
    throw new SqwishError(
      "unauthenticated",
      `Signing in is locked after too many failures from this address; try again in ${
        Math.ceil(retryAfterMs / 1000)
      } s`,
      { details: { retryAfterMs: Math.ceil(retryAfterMs) } },
    );
  }

  /** Only asked with the right password in hand, so it may say why. */
  #requireUsable({ name, once, usedAtMs, expiresAtMs }: StoredCredential): void {
    if (expiresAtMs !== undefined && this.#clock.nowMs() >= expiresAtMs) {
      throw new SqwishError(
        "unauthenticated",
        `The token ${name} expired at ${new Date(expiresAtMs).toISOString()}; make a new one on the manager`,
        { details: { expiredAtMs: expiresAtMs } },
      );
    }
    if (once && usedAtMs !== undefined) {
      throw new SqwishError(
        "unauthenticated",
        `The token ${name} was for one use and was used at ${new Date(usedAtMs).toISOString()}; ` +
          "make a new one on the manager",
        { details: { usedAtMs } },
      );
    }
  }

  #digest(user: string, password: string, hash: string | undefined): string {
    return createHmac("sha256", this.#key).update(JSON.stringify([user, password, hash])).digest("base64url");
  }
}

/** A set that forgets what was used longest ago. */
class RecentSet {
  readonly #sizeMax: number;
  readonly #values = new Set<string>();

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  has(value: string): boolean {
    if (!this.#values.delete(value)) return false;
    this.#values.add(value);
    return true;
  }

  add(value: string): void {
    this.#values.add(value);
    if (this.#values.size <= this.#sizeMax) return;
    const [oldest] = this.#values;
    this.#values.delete(oldest);
  }
}

// The form of `generateSecret()`.
function looksGenerated(password: string): boolean {
  return /^[\w-]{43}$/.test(password);
}

function wrong(): SqwishError {
  return new SqwishError("unauthenticated", "The user name or password is wrong");
}

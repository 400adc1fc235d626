/**
 * Users, join tokens and the credentials that joined machines get: the rules around `store/users`.
 * A generated password leaves this file once, as a return value, and is never logged.
 */
import type { Clock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import type { Random } from "../random.ts";
import type { UserView } from "../protocol/views.ts";
import { type Principal, requireEndpointPatterns, type Role } from "../security/access.ts";
import {
  generatePassword,
  generateSecret,
  hashPassword,
  requirePassword,
  secretCost,
} from "../security/passwords.ts";
import { encodeToken } from "../security/token.ts";
import type { UserRecord, UserStore } from "../store/users.ts";

/** What a caller says of a token; addresses and fingerprint are the manager's. */
export type TokenWish = Omit<TokenOptions, "addresses" | "fingerprint">;

export interface AccountsOptions {
  users: UserStore;
  clock: Clock;
  random: Random;
}

export interface TokenOptions {
  /** Which program joins with it. */
  role: "agent" | "client";
  /** What a client's user may do; `client` unless given. */
  access?: Exclude<Role, "agent">;
  /** Absent: for ever. */
  lifetimeMs?: number;
  once: boolean;
  addresses: string[];
  fingerprint: string;
}

/** Whose accounts are whose, as far as agents have shown by signing in. */
export interface AgentAccounts {
  used: string | null;
  /** What other agents signed in with: one that was renamed has an account of its first name. */
  ofOthers: ReadonlySet<string | null>;
  isInUse(user: string): boolean;
}

export class Accounts {
  readonly #users: UserStore;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(options: AccountsOptions) {
    this.#users = options.users;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** Everyone who can sign in, tokens left out. */
  list(): UserView[] {
    return this.#users.list().filter((user) => user.kind !== "token").map(viewOf);
  }

  /** Adds a person; without a password one is generated. Throws `conflict` or `invalid_request`. */
  async add(
    user: { name: string; role: Role; endpoints: string[]; password?: string },
  ): Promise<{ user: UserView; password: string }> {
    requireUserName(user.name);
    requireEndpointPatterns(user.endpoints);
    if (this.#users.find(user.name)) {
      throw new SqwishError("conflict", `A new user needs a name of its own, ${user.name} exists already`);
    }
    const { hash, password } = await this.#hashed(user.password);
    const endpoints = user.endpoints.length === 0 && user.role === "client" ? ["*"] : user.endpoints;
    const record = this.#users.add(
      { name: user.name, role: user.role, endpoints, passwordHash: hash },
      this.#clock.nowMs(),
    );
    return { user: viewOf(record), password };
  }

  /** Sets or generates a password. Throws `not_found`. */
  async setPassword(name: string, given: string | undefined): Promise<{ password: string }> {
    if (!this.#users.find(name)) throw new SqwishError("not_found", `There is no user named ${name}`);
    const { hash, password } = await this.#hashed(given);
    this.#users.setPassword(name, hash);
    return { password };
  }

  /** Throws `not_found`, or `conflict` for the last admin. */
  remove(name: string): void {
    if (!this.#users.remove(name)) throw new SqwishError("not_found", `There is no user named ${name}`);
  }

  /** A join token: a user of its own with a secret only the token holds. */
  async createToken(options: TokenOptions): Promise<string> {
    const password = generateSecret(this.#random);
    const name = `join-${options.role}-${this.#mark()}`;
    const expiresAtMs = options.lifetimeMs === undefined
      ? undefined
      : this.#clock.nowMs() + options.lifetimeMs;
    this.#users.removeDeadTokens(this.#clock.nowMs());
    this.#users.add({
      name,
      role: options.role === "agent" ? "agent" : options.access ?? "client",
      endpoints: options.role === "client" ? ["*"] : [],
      passwordHash: await hashPassword(password, { random: this.#random, cost: secretCost }),
      kind: "token",
      once: options.once,
      expiresAtMs,
    }, this.#clock.nowMs());
    const { addresses, fingerprint, role } = options;
    return encodeToken({ addresses, fingerprint, user: name, password, role, expiresAtMs });
  }

  /**
   * Exchanges a join token for credentials of a machine's own, with the token's role and patterns. Only tokens can
   * be exchanged: what a person's password opened would otherwise outlive it. `consume` uses up a token for one use
   * and throws when another join was faster or the machine has gone; then nothing has been added.
   */
  async enroll(
    by: Principal,
    machine: string,
    consume: (name: string) => void,
  ): Promise<{ user: string; password: string }> {
    if (this.#users.find(by.name)?.kind !== "token") {
      throw new SqwishError(
        "invalid_request",
        `Only a join token can be exchanged, ${by.name} is no token; join without enrolling`,
      );
    }
    const password = generateSecret(this.#random);
    const passwordHash = await hashPassword(password, { random: this.#random, cost: secretCost });
    const user = accountOf(machine, this.#mark());
    consume(by.name);
    this.#users.add(
      { name: user, role: by.role, endpoints: by.endpoints, passwordHash, kind: "machine" },
      this.#clock.nowMs(),
    );
    return { user, password };
  }

  /**
   * Removes the account that an agent signed in with last, and those that an agent of this name was given, but for those
   * that others use or that are `isInUse`; their names.
   */
  removeOfAgent(
    agent: string,
    { used, ofOthers, isInUse }: AgentAccounts,
  ): string[] {
    const isOwn = (user: string) => user === used || (isAccountOf(user, agent) && !ofOthers.has(user));
    const own = this.#users.list("machine").filter(({ name, role }) =>
      role === "agent" && isOwn(name) && !isInUse(name)
    ).map(({ name }) => name);
    for (const name of own) this.#users.remove(name);
    return own;
  }

  async #hashed(given: string | undefined): Promise<{ hash: string; password: string }> {
    if (given !== undefined) requirePassword(given);
    const password = given ?? generatePassword(this.#random);
    return { hash: await hashPassword(password, { random: this.#random }), password };
  }

  #mark(): string {
    return Array.from(this.#random.secret(4), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

/** The name of a machine's own user; a machine that joins again with a token gets another one. */
function accountOf(machine: string, mark: string): string {
  return `${machine}-${mark}`;
}

/** `pi-0a1b2c3d` is of `pi`; `pi-0a1b2c3d-99887766` is of `pi-0a1b2c3d`. */
function isAccountOf(user: string, machine: string): boolean {
  return user.startsWith(`${machine}-`) && /^[0-9a-f]{8}$/.test(user.slice(machine.length + 1));
}

/** A colon ends the name in Basic authentication (RFC 7617), and names go into addresses and logs. */
function requireUserName(name: string): void {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(name)) return;
  throw new SqwishError(
    "invalid_request",
    `A user's name must be 1 to 63 letters, digits, dots, dashes or underscores, is ${
      JSON.stringify(name.slice(0, 100))
    }`,
  );
}

function viewOf(user: UserRecord): UserView {
  return { name: user.name, role: user.role, endpoints: user.endpoints, createdAtMs: user.createdAtMs };
}

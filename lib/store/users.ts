/**
 * Everyone who may sign in: people, join tokens, and the machines that redeemed them. Read by `security/`
 * through its `CredentialStore` interface, written by the commands and the join.
 * Invariant: every change is on the disk at return, and the cluster is never left without an admin.
 */
import { and, asc, eq, isNull, lt, ne, or, sql } from "drizzle-orm";
import { SqwishError } from "../errors.ts";
import type { UserView } from "../protocol/views.ts";
import type { Database } from "./database.ts";
import { users } from "./schema.ts";

export type UserKind = "user" | "token" | "machine";

export interface UserRecord {
  name: string;
  role: UserView["role"];
  /** Patterns of the endpoints a `client` may invoke; unused by other roles. */
  endpoints: string[];
  passwordHash: string;
  kind: UserKind;
  /** A token for one join only. */
  once: boolean;
  createdAtMs: number;
  /** Missing: never. */
  expiresAtMs?: number;
  /** When a token was first redeemed. */
  usedAtMs?: number;
}

export interface NewUser {
  name: string;
  role: UserView["role"];
  passwordHash: string;
  endpoints?: string[];
  kind?: UserKind;
  once?: boolean;
  expiresAtMs?: number;
}

/** A dead token is kept for this long, so that whoever tries it is told that it has expired, not that it is wrong. */
const deadTokenKeptMs = 30 * 24 * 3600_000;

export class UserStore {
  readonly #database: Database;
  /** Prepared: HTTP Basic asks at every request. */
  readonly #byName;
  #changes = 0;

  constructor(database: Database) {
    this.#database = database;
    this.#byName = database.orm.select().from(users).where(eq(users.name, sql.placeholder("name"))).prepare();
  }

  /** Counts the changes made here; another process makes its own. */
  get changes(): number {
    return this.#changes;
  }

  /** Adds a user; kind "user", no endpoints, not for once and no expiry unless said. Throws `conflict` when the name is taken. */
  add(user: NewUser, nowMs: number): UserRecord {
    const row = {
      kind: "user" as const,
      once: false,
      endpoints: [],
      ...user,
      expiresAtMs: user.expiresAtMs ?? null,
      createdAtMs: nowMs,
    };
    this.#changes++;
    return this.#database.transaction(() => {
      if (this.find(user.name)) {
        throw new SqwishError("conflict", `A new user needs a name of its own, ${user.name} exists already`);
      }
      this.#database.orm.insert(users).values(row).run();
      return toRecord({ ...row, usedAtMs: null });
    }, "durable");
  }

  find(name: string): UserRecord | undefined {
    const row = this.#byName.get({ name });
    return row && toRecord(row);
  }

  /** All of one kind, or all; by name. */
  list(kind?: UserKind): UserRecord[] {
    const where = kind === undefined ? undefined : eq(users.kind, kind);
    return this.#database.orm.select().from(users).where(where).orderBy(asc(users.name)).all().map(toRecord);
  }

  /** Whether there was one. Throws `conflict` for the last admin. */
  remove(name: string): boolean {
    this.#changes++;
    return this.#database.transaction(() => {
      const user = this.find(name);
      if (!user) return false;
      if (user.role === "admin" && user.kind === "user" && !this.#hasOtherAdmin(name)) {
        throw new SqwishError(
          "conflict",
          `A cluster needs an admin, ${name} is the last one; add another first`,
        );
      }
      this.#database.orm.delete(users).where(eq(users.name, name)).run();
      return true;
    }, "durable");
  }

  /** Throws `not_found` when there is no such user. */
  setPassword(name: string, passwordHash: string): void {
    this.#changes++;
    const changed = this.#database.transaction(
      () => this.#database.orm.update(users).set({ passwordHash }).where(eq(users.name, name)).run().changes,
      "durable",
    );
    if (Number(changed) === 0) throw new SqwishError("not_found", `There is no user named ${name}`);
  }

  /** Notes the first use of a token. False when it was used before: two joins can't both be the first. */
  markUsed(name: string, nowMs: number): boolean {
    this.#changes++;
    const changed = this.#database.transaction(
      () =>
        this.#database.orm.update(users).set({ usedAtMs: nowMs })
          .where(and(eq(users.name, name), isNull(users.usedAtMs))).run().changes,
      "durable",
    );
    return Number(changed) > 0;
  }

  /** Removes tokens that have been expired or used up for 30 days; returns how many. */
  removeDeadTokens(nowMs: number): number {
    const before = nowMs - deadTokenKeptMs;
    const isDead = or(lt(users.expiresAtMs, before), and(eq(users.once, true), lt(users.usedAtMs, before)));
    return Number(
      this.#database.orm.delete(users).where(and(eq(users.kind, "token"), isDead)).run().changes,
    );
  }

  #hasOtherAdmin(name: string): boolean {
    const isOtherAdmin = and(eq(users.role, "admin"), eq(users.kind, "user"), ne(users.name, name));
    return this.#database.orm.select({ name: users.name }).from(users).where(isOtherAdmin).get() !==
      undefined;
  }
}

function toRecord(row: typeof users.$inferSelect): UserRecord {
  const { expiresAtMs, usedAtMs, ...rest } = row;
  return {
    ...rest,
    ...(expiresAtMs === null ? {} : { expiresAtMs }),
    ...(usedAtMs === null ? {} : { usedAtMs }),
  };
}

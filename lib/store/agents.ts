/**
 * The agents the manager has met, so that it knows after a restart whom to wait for and who is cordoned.
 * What an agent does now is in `cluster/`; this is only what must not be forgotten.
 */
import { and, asc, eq, ne } from "drizzle-orm";
import type { Database } from "./database.ts";
import { agents } from "./schema.ts";

export interface StoredAgent {
  name: string;
  /** Made once per agent data folder; tells a returning agent from another of the same name. */
  identity: string;
  labels: Record<string, string>;
  /** Takes no new replicas. */
  cordoned: boolean;
  /** What it runs is moved to others; it is cordoned too. */
  draining: boolean;
  firstJoinedMs: number;
  lastSeenMs: number;
  /** The user it signed in as last, unless another agent did since, as one that was renamed; null: not known. */
  account: string | null;
}

export class AgentStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Notes a join: a new agent, or a known one with its identity, labels and account of now. Flags and the first join
   * stay.
   */
  observeJoin(
    agent: { name: string; identity: string; labels: Record<string, string> },
    nowMs: number,
    account: string | null = null,
  ): StoredAgent {
    const { name, identity, labels } = agent;
    const flags = { cordoned: false, draining: false };
    const now = { identity, labels, lastSeenMs: nowMs, account };
    const { orm } = this.#database;
    return this.#database.transaction(() => {
      if (account !== null) {
        orm.update(agents).set({ account: null }).where(
          and(eq(agents.account, account), ne(agents.name, name)),
        )
          .run();
      }
      return orm.insert(agents).values({ name, ...now, ...flags, firstJoinedMs: nowMs })
        .onConflictDoUpdate({ target: agents.name, set: now }).returning().get();
    });
  }

  /** Notes when an agent was last heard; meant for its leaving, not for every telemetry. */
  observeSeen(name: string, nowMs: number): void {
    this.#database.orm.update(agents).set({ lastSeenMs: nowMs }).where(eq(agents.name, name)).run();
  }

  find(name: string): StoredAgent | undefined {
    return this.#database.orm.select().from(agents).where(eq(agents.name, name)).get();
  }

  /** By name. */
  list(): StoredAgent[] {
    return this.#database.orm.select().from(agents).orderBy(asc(agents.name)).all();
  }

  /** Whether there is such an agent. On the disk at return: a person asked for it. */
  setFlags(name: string, flags: { cordoned: boolean; draining: boolean }): boolean {
    return this.#database.transaction(
      () =>
        Number(
          this.#database.orm.update(agents).set(flags).where(eq(agents.name, name)).run().changes,
        ) > 0,
      "durable",
    );
  }

  /** Whether there was one. */
  remove(name: string): boolean {
    return Number(this.#database.orm.delete(agents).where(eq(agents.name, name)).run().changes) > 0;
  }
}

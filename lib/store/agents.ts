/**
 * The agents the manager has met, so that it knows after a restart whom to wait for and who is cordoned.
 * What an agent does now is in `cluster/`; this is only what must not be forgotten.
 */
import { and, asc, eq, getTableColumns, ne, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { asInserted, placeholdersFor } from "./prepared.ts";
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
  readonly #queries: ReturnType<typeof prepareQueries>;

  constructor(database: Database) {
    this.#database = database;
    this.#queries = prepareQueries(database);
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
    const stored = { name, identity, labels, account, firstJoinedMs: nowMs, lastSeenMs: nowMs };
    return this.#database.transaction(() => {
      if (account !== null) this.#queries.disown.run({ account, name });
      return this.#queries.join.get({ ...stored, cordoned: false, draining: false });
    });
  }

  /** Notes when an agent was last heard; meant for its leaving, not for every telemetry. */
  observeSeen(name: string, nowMs: number): void {
    this.#queries.seen.run({ name, lastSeenMs: nowMs });
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

/** What is written at each join and each leaving: building these queries costs far more than running them. */
function prepareQueries({ orm }: Database) {
  const { identity, labels, lastSeenMs, account } = getTableColumns(agents);
  const columns = placeholdersFor(getTableColumns(agents));
  return {
    join: orm.insert(agents).values(columns)
      .onConflictDoUpdate({ target: agents.name, set: asInserted({ identity, labels, lastSeenMs, account }) })
      .returning().prepare(),
    disown: orm.update(agents).set({ account: null })
      .where(and(eq(account, columns.account), ne(agents.name, columns.name))).prepare(),
    seen: orm.update(agents).set({ lastSeenMs: sql`${columns.lastSeenMs}` })
      .where(eq(agents.name, columns.name)).prepare(),
  };
}

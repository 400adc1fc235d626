/**
 * One SQLite connection: `node:sqlite` below, drizzle's synchronous better-sqlite3 session above, and a
 * transaction between them that can't be asynchronous. Everything in `store/` goes through here.
 * Invariant: one connection, one writer, no await between BEGIN and COMMIT.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { BetterSQLiteSession } from "drizzle-orm/better-sqlite3/session";
import { BaseSQLiteDatabase, SQLiteSyncDialect } from "drizzle-orm/sqlite-core";
import { SqwishError } from "../errors.ts";
import { explainWrite, logPath, syncFile } from "./data_folder.ts";

/** What a write statement answers. */
export interface WriteResult {
  changes: number | bigint;
  lastInsertRowid: number | bigint;
}

export type Orm = BaseSQLiteDatabase<"sync", WriteResult>;

/**
 * "relaxed" writes may be lost in a power cut, never torn; "durable" ones are on the card at return, or, in a database
 * that is `deferred`, once `synced()` has resolved.
 */
export type Durability = "relaxed" | "durable";

/** How long a statement waits for another process that is writing, e.g. `manager user add`. */
const busyTimeoutMs = 5000;
/** Prepared statements kept; the code has far fewer different ones. */
const statementsMax = 256;

/** `node:sqlite`'s statement with the one method that the types of the older runtimes don't know yet. */
type Statement = StatementSync & { setReturnArrays(asArrays: boolean): void };

/** The little of better-sqlite3's interface that drizzle's session uses, over `node:sqlite`. */
class Client {
  readonly #sqlite: DatabaseSync;
  readonly #statements = new Map<string, Statement>();

  constructor(sqlite: DatabaseSync) {
    this.#sqlite = sqlite;
  }

  prepare(sql: string) {
    const statement = this.#statement(sql);
    // A statement is shared by all who send the same text, so the row shape is set at each use.
    const withRows = (asArrays: boolean) => {
      statement.setReturnArrays(asArrays);
      return statement;
    };
    return {
      run: (...values: SQLInputValue[]) => statement.run(...values),
      all: (...values: SQLInputValue[]) => withRows(false).all(...values),
      get: (...values: SQLInputValue[]) => withRows(false).get(...values),
      raw: () => ({
        all: (...values: SQLInputValue[]) => withRows(true).all(...values),
        get: (...values: SQLInputValue[]) => withRows(true).get(...values),
      }),
    };
  }

  #statement(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known) return known;
    if (this.#statements.size >= statementsMax) this.#statements.clear();
    const statement = this.#sqlite.prepare(sql) as Statement;
    this.#statements.set(sql, statement);
    return statement;
  }
}

export class Database {
  readonly orm: Orm;
  readonly #sqlite: DatabaseSync;
  readonly #client: Client;
  readonly #path: string;
  readonly #deferred: boolean;
  #depth = 0;
  #afterCommit: (() => void)[] = [];
  /** A durable transaction was committed and is not known to be on the card. */
  #isUnsynced = false;
  #syncing: Promise<void> = Promise.resolve();

  /**
   * Opens or creates the file at `path`; ":memory:" keeps everything in memory. Throws SQLite's own errors.
   * `deferred`: no write waits for the card (docs/decisions/0015). Whoever must know awaits `synced()`, and the log is
   * brought into the database by another process.
   */
  constructor(path: string, deferred = false) {
    this.#path = path;
    this.#deferred = deferred;
    this.#sqlite = new DatabaseSync(path);
    try {
      this.#sqlite.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
      // Reading the schema first makes a damaged file fail here, before anything is written beside it.
      this.#sqlite.prepare("SELECT count(*) FROM sqlite_schema").get();
      this.#sqlite.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON");
      if (deferred) this.#sqlite.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 0");
    } catch (thrown) {
      this.#sqlite.close();
      throw thrown;
    }
    const dialect = new SQLiteSyncDialect();
    // The session's types name a package that isn't installed; what it calls at run time is `Client`.
    this.#client = new Client(this.#sqlite);
    const session = new BetterSQLiteSession(this.#client as never, dialect, undefined);
    this.orm = new BaseSQLiteDatabase("sync", dialect, session as never, undefined) as Orm;
  }

  /**
   * Runs `work` in one transaction and returns its value; whatever it throws rolls everything back. Inside
   * another transaction it becomes a savepoint of that one, whose durability then counts.
   * Throws `internal` when `work` returns a promise, for a commit can't wait, and when the disk refuses, in words.
   */
  transaction<T>(work: () => T, durability: Durability = "relaxed"): T {
    const waiting = this.#afterCommit.length;
    let value: T;
    try {
      value = this.#transact(work, durability);
    } catch (thrown) {
      this.#afterCommit.length = waiting;
      throw thrown;
    }
    if (this.#depth === 0) { for (const action of this.#afterCommit.splice(0)) action(); }
    return value;
  }

  /** Runs `action` once what is being written is committed, at once outside of a transaction, never when it is rolled back. */
  afterCommit(action: () => void): void {
    if (this.#depth > 0) this.#afterCommit.push(action);
    else action();
  }

  #transact<T>(work: () => T, durability: Durability): T {
    const nested = this.#depth > 0;
    const syncs = !nested && durability === "durable" && !this.#deferred;
    if (syncs) this.#sqlite.exec("PRAGMA synchronous = FULL");
    try {
      this.#sqlite.exec(nested ? `SAVEPOINT depth_${this.#depth}` : "BEGIN IMMEDIATE");
      this.#depth += 1;
      try {
        const value = work();
        if (value instanceof Promise) {
          throw new SqwishError("internal", "A transaction must be synchronous, its work returned a promise");
        }
        this.#end(nested, "commit");
        this.#isUnsynced ||= this.#deferred && durability === "durable";
        return value;
      } catch (thrown) {
        this.#end(nested, "rollback");
        throw thrown;
      } finally {
        this.#depth -= 1;
      }
    } catch (thrown) {
      throw nested ? thrown : explainWrite(thrown);
    } finally {
      if (syncs) this.#sqlite.exec("PRAGMA synchronous = NORMAL");
    }
  }

  /** Resolves when every durable transaction so far is on the card. Rejects with what the system says. */
  async synced(): Promise<void> {
    // Whoever comes while a sync is under way that began after the last of them waits for that one.
    if (this.#isUnsynced) this.#syncing = this.#sync();
    await this.#syncing;
  }

  async #sync(): Promise<void> {
    this.#isUnsynced = false;
    try {
      // Whoever syncs a file, all that was written to it is synced; nothing holds a lock on the log that closing it
      // here could drop (sqlite.org/howtocorrupt.html, 2.2).
      await syncFile(logPath(this.#path));
    } catch (thrown) {
      this.#isUnsynced = true;
      throw thrown;
    }
  }

  /** Rows changed since it was opened. */
  get changes(): number {
    return Number(this.scalar("SELECT total_changes()"));
  }

  /** Runs SQL that drizzle has no words for: migrations, pragmas, VACUUM. */
  execute(sql: string): void {
    this.#sqlite.exec(sql);
  }

  /** All rows of a query that drizzle has no words for, each as its values in their order. */
  rows(sql: string, ...values: SQLInputValue[]): unknown[][] {
    return this.#client.prepare(sql).raw().all(...values) as unknown as unknown[][];
  }

  /** The names of all tables. */
  tables(): string[] {
    const rows = this.#sqlite.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    return rows.map(({ name }) => String(name));
  }

  /** The one value of the first row, e.g. of a pragma. */
  scalar(sql: string): unknown {
    const row = this.#sqlite.prepare(sql).get();
    return row === undefined ? undefined : Object.values(row)[0];
  }

  close(): void {
    this.#sqlite.close();
  }

  #end(nested: boolean, how: "commit" | "rollback"): void {
    const savepoint = `depth_${this.#depth - 1}`;
    if (how === "commit") this.#sqlite.exec(nested ? `RELEASE ${savepoint}` : "COMMIT");
    else if (nested) this.#sqlite.exec(`ROLLBACK TO ${savepoint}; RELEASE ${savepoint}`);
    // SQLite may have rolled back by itself (disk full); then there is nothing left to end.
    else if (this.#sqlite.isTransaction) this.#sqlite.exec("ROLLBACK");
  }
}

/** Single values by key, as JSON: the certificate authority, the cluster's name, what else must survive a restart. */
import { eq, sql } from "drizzle-orm";
import type { Database } from "./database.ts";
import { settings } from "./schema.ts";

export class SettingStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The value last set, typed by the caller who set it; undefined when there is none. */
  get<T>(key: string): T | undefined {
    const row = this.#database.orm.select().from(settings).where(eq(settings.key, key)).get();
    return row?.value as T | undefined;
  }

  /** Sets any JSON value but null; on the disk at return, since keys made twice would lock every agent out. */
  set(key: string, value: NonNullable<unknown>): void {
    this.#database.transaction(() => {
      this.#database.orm.insert(settings).values({ key, value })
        .onConflictDoUpdate({ target: settings.key, set: { value: sql`excluded.value` } }).run();
    }, "durable");
  }

  /** Whether there was one. */
  remove(key: string): boolean {
    return Number(this.#database.orm.delete(settings).where(eq(settings.key, key)).run().changes) > 0;
  }
}

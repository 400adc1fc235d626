/**
 * Brings a database to the format this program knows, at start, before anyone reads. All missing migrations
 * run in one transaction with the new number, so an interrupted upgrade leaves the old format whole.
 */
import { SqwishError } from "../errors.ts";
import type { Database } from "./database.ts";
import { migrations as allMigrations } from "./migrations/all.ts";

/**
 * Applies what is missing; returns how many migrations ran. Throws `conflict` when the data is of a newer
 * format than `migrations` reach. `where` names the data in that message.
 */
export function migrate(
  database: Database,
  where: string,
  migrations: readonly string[] = allMigrations,
): number {
  // A look outside of a transaction: an up-to-date database is opened without any write.
  if (formatOf(database) === migrations.length) return 0;
  return database.transaction(() => {
    const format = requireKnownFormat(database, where, migrations.length);
    for (const migration of migrations.slice(format)) database.execute(migration);
    database.execute(`PRAGMA user_version = ${migrations.length}`);
    return migrations.length - format;
  }, "durable");
}

/** Whether the data is of exactly this program's format, so that opening it writes nothing. */
export function isCurrentFormat(database: Database): boolean {
  return formatOf(database) === allMigrations.length;
}

/** The data's format; throws `conflict` when it is newer than `formatMax`. `where` names the data in the message. */
export function requireKnownFormat(
  database: Database,
  where: string,
  formatMax: number = allMigrations.length,
): number {
  const format = formatOf(database);
  if (format <= formatMax) return format;
  throw new SqwishError(
    "conflict",
    `The data in ${where} is of format ${format}, this manager knows up to ${formatMax}; ` +
      "use a newer manager or restore a backup",
    { details: { format, formatMax } },
  );
}

function formatOf(database: Database): number {
  return Number(database.scalar("PRAGMA user_version"));
}

/**
 * The whole cluster in one file and back: `manager backup FILE`, `manager restore FILE`.
 * A backup is an ordinary SQLite database of the same format; it holds keys and password hashes, so it is
 * private (0600). Invariant: a file or folder appears under its name only when it is complete.
 */
import { SqwishError } from "../errors.ts";
import {
  applicationId,
  createPrivateFile,
  databasePath,
  explain,
  fileExists,
  lockFolder,
  makeFolder,
} from "./data_folder.ts";
import { Database } from "./database.ts";
import { requireKnownFormat } from "./migrate.ts";

/**
 * Copies the database as it is at this moment into the new file `path`. Blocks for as long as the copy takes
 * (about a second per 50 MB on an SD card), so a serving manager leaves it to the `backup` command's process.
 * Throws `conflict` when `path` exists and `internal` when it can't be written.
 */
export function backUp(database: Database, path: string): void {
  if (fileExists(path)) {
    throw new SqwishError("conflict", `A backup must go into a new file, ${path} exists already`);
  }
  const partial = `${path}.partial`;
  try {
    removeIfThere(partial);
    // VACUUM INTO accepts an empty file and keeps its mode.
    createPrivateFile(partial);
    database.execute(`VACUUM INTO '${partial.replaceAll("'", "''")}'`);
    sync(partial);
    Deno.renameSync(partial, path);
  } catch (thrown) {
    removeIfThere(partial);
    throw new SqwishError("internal", `The backup could not be written to ${path}`, { cause: thrown });
  }
}

/**
 * Makes the data folder `folder` from the backup `file`. Throws `conflict` when the folder already has data or
 * the backup is of a newer format, `not_found` when there is no such file, `invalid_request` when it is no backup.
 */
export function restoreStore(file: string, folder: string): void {
  if (!fileExists(file)) throw new SqwishError("not_found", `There is no backup at ${file}`);
  // Two managers with one certificate authority and the same agents would each believe to own them.
  if (fileExists(databasePath(folder))) {
    throw new SqwishError(
      "conflict",
      `A backup is restored into an empty data folder, ${folder} has data; move it away first`,
    );
  }
  makeFolder(folder);
  const unlock = lockFolder(folder);
  const partial = `${databasePath(folder)}.partial`;
  try {
    removeIfThere(partial);
    createPrivateFile(partial);
    Deno.writeFileSync(partial, Deno.readFileSync(file));
    requireBackup(partial, file);
    sync(partial);
    Deno.renameSync(partial, databasePath(folder));
  } catch (thrown) {
    removeIfThere(partial);
    throw explain(thrown, folder);
  } finally {
    unlock();
  }
}

/** Throws unless the copy at `path` is an intact database of ours, of a format this program knows. */
function requireBackup(path: string, file: string): void {
  let database: Database | undefined;
  try {
    database = new Database(path);
    const isOurs = database.scalar("PRAGMA application_id") === applicationId;
    const isIntact = isOurs && database.scalar("PRAGMA quick_check(1)") === "ok";
    if (!isIntact) throw new Error(isOurs ? "quick_check failed" : "another application_id");
    requireKnownFormat(database, file);
  } catch (thrown) {
    if (thrown instanceof SqwishError) throw thrown;
    throw new SqwishError(
      "invalid_request",
      `A restore needs a file made by \`manager backup\`, ${file} is not one or is damaged`,
      { cause: thrown },
    );
  } finally {
    database?.close();
  }
}

function sync(path: string): void {
  using file = Deno.openSync(path, { read: true, write: true });
  file.syncSync();
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  }
}

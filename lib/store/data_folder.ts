/**
 * The folder a manager keeps its state in: made for its owner only, held by one manager at a time, and with
 * one clear error for each way in which it can be unusable.
 * Invariant: no lock outlives its process, however that ends; the kernel drops it.
 */
import { DatabaseSync } from "node:sqlite";
import { SqwishError } from "../errors.ts";

/** SQLite's primary result codes (sqlite.org/rescode.html); extended ones carry them in the low byte. */
const sqliteBusy = 5;
const sqliteReadOnly = 8;
const sqliteIoError = 10;
const sqliteCorrupt = 11;
const sqliteFull = 13;
const sqliteCannotOpen = 14;
const sqliteNotADatabase = 26;

/** Written into the header of every database of ours ("Sqws"), so that a restore can tell another program's file. */
export const applicationId = 1399945075;

/** Where the database of a data folder is. */
export function databasePath(folder: string): string {
  return `${folder}/sqwish.db`;
}

/** Where SQLite keeps what was committed and is not in the database yet. */
export function logPath(database: string): string {
  return `${database}-wal`;
}

/** Throws `not_found` when there is no cluster's data in `folder`; makes nothing. */
export function requireStore(folder: string): void {
  if (fileExists(databasePath(folder))) return;
  throw new SqwishError(
    "not_found",
    `There is no cluster in ${folder}; name its data folder with --data, or start the manager there first`,
  );
}

/** Makes `folder` (mode 0700) where it is missing. Throws what `explain` says. */
export function makeFolder(folder: string): void {
  try {
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    throw explain(thrown, folder);
  }
}

/** Makes an empty database file (0600) in `folder` where it is missing; true: it was. Throws what `explain` says. */
export function makeDatabaseFile(folder: string): boolean {
  try {
    const isMissing = !fileExists(databasePath(folder));
    // To SQLite an empty file is a new database, and a new cluster would lock every agent out of what is lost.
    if (!isMissing && fileBytes(databasePath(folder)) === 0) {
      throw new SqwishError(
        "internal",
        `The data in ${folder} must be an intact SQLite database, sqwish.db is empty; ` +
          "remove it, then restore a backup or start to begin a new cluster",
      );
    }
    // SQLite gives its log files the mode of the database file, so this one decides for all.
    createPrivateFile(databasePath(folder));
    if (Deno.build.os !== "windows") Deno.chmodSync(databasePath(folder), 0o600);
    return isMissing;
  } catch (thrown) {
    throw explain(thrown, folder);
  }
}

/** Takes away a database file that nothing was written to: left there, it would pass for one cut down to nothing. */
export function removeEmptyDatabase(folder: string): void {
  try {
    if (fileBytes(databasePath(folder)) === 0) Deno.removeSync(databasePath(folder));
  } catch {
    // Why the start failed is said anyway.
  }
}

/** Makes an empty file that only its owner may read, unless it is there already. */
export function createPrivateFile(path: string): void {
  Deno.openSync(path, { write: true, create: true, mode: 0o600 }).close();
}

export function fileExists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw thrown;
  }
}

/** Resolves when all that was written to the file is on the disk; no thread of ours waits for it. */
export async function syncFile(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.syncData();
}

/** 0 when there is no such file. */
export function fileBytes(path: string): number {
  return fileExists(path) ? Deno.statSync(path).size : 0;
}

/**
 * Takes the folder for one manager; returns the function that lets go. Throws `conflict` while another holds it.
 * The lock is an exclusive transaction on a database of its own: the same locks as SQLite's, on every platform.
 */
export function lockFolder(folder: string): () => void {
  const path = `${folder}/manager.lock`;
  let lock: DatabaseSync | undefined;
  try {
    createPrivateFile(path);
    lock = new DatabaseSync(path);
    // Nothing is ever written to it, so it needs no journal file.
    lock.exec("PRAGMA journal_mode = MEMORY");
    lock.prepare("BEGIN EXCLUSIVE").run();
    return () => lock?.close();
  } catch (thrown) {
    lock?.close();
    if (resultCode(thrown) !== sqliteBusy) throw explain(thrown, folder);
    throw new SqwishError(
      "conflict",
      `The data in ${folder} belongs to one manager at a time, and another one is running on it; ` +
        "stop that one or choose another folder with --data",
    );
  }
}

/** Any failure to open the data in `folder`, as the one error to show; a `SqwishError` passes unchanged. */
export function explain(thrown: unknown, folder: string): SqwishError {
  if (thrown instanceof SqwishError) return thrown;
  const fail = (message: string) => new SqwishError("internal", message, { cause: thrown });
  switch (resultCode(thrown)) {
    case sqliteCorrupt:
    case sqliteNotADatabase:
      return fail(
        `The data in ${folder} must be an intact SQLite database, sqwish.db is damaged; ` +
          "restore a backup, or move the folder away to start with an empty cluster",
      );
    case sqliteFull:
      return fail(`The data in ${folder} must have room to grow, its disk is full; free some space`);
    case sqliteBusy:
      return fail(`The data in ${folder} is being written by another program for too long; try again`);
    case sqliteReadOnly:
    case sqliteCannotOpen:
      return notWritable(folder, thrown);
  }
  if (thrown instanceof Error && isFileError(thrown)) return notWritable(folder, thrown);
  return fail(`Opening ${folder} failed`);
}

function notWritable(folder: string, cause: unknown): SqwishError {
  return new SqwishError(
    "invalid_request",
    `The data folder ${folder} must be a folder this user can write to, and it is not; ` +
      "change its owner or choose another with --data",
    { cause },
  );
}

function isFileError(thrown: Error): boolean {
  const kinds = [Deno.errors.PermissionDenied, Deno.errors.NotFound, Deno.errors.NotADirectory];
  return kinds.some((kind) => thrown instanceof kind) ||
    /read-only file system|not a directory|file exists/i.test(thrown.message);
}

/** A failed write as the one error to show; what is not the disk's fault passes unchanged. */
export function explainWrite(thrown: unknown): unknown {
  const fail = (message: string) => new SqwishError("internal", message, { cause: thrown });
  for (let error = thrown; error instanceof Error; error = error.cause) {
    switch (resultCode(error)) {
      case sqliteFull:
        return fail(
          "The change could not be stored, the manager's disk is full; free some space there and try again",
        );
      case sqliteReadOnly:
        return fail(
          "The change could not be stored, the manager's disk has become read-only; look at its log",
        );
      case sqliteIoError:
        return fail(
          "The change could not be stored, the manager's disk fails; look at its log and copy the data away",
        );
      case sqliteCorrupt:
        return fail(
          "The change could not be stored, the manager's database is damaged; stop it and restore a backup",
        );
    }
  }
  return thrown;
}

/** SQLite's primary result code of an error; undefined for other errors. `exec` gives only the words. */
function resultCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const code = (thrown as { errcode?: number }).errcode;
  if (typeof code === "number") return code & 0xff;
  if (thrown.message.includes("database is locked")) return sqliteBusy;
  if (thrown.message.includes("readonly database")) return sqliteReadOnly;
  if (thrown.message.includes("disk I/O error")) return sqliteIoError;
  if (thrown.message.includes("malformed")) return sqliteCorrupt;
  if (thrown.message.includes("disk is full")) return sqliteFull;
  if (thrown.message.includes("unable to open database")) return sqliteCannotOpen;
  if (thrown.message.includes("not a database")) return sqliteNotADatabase;
  return undefined;
}

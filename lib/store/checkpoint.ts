/**
 * Brings the log of a database that a manager is serving from into its file: by another process, since the disk may
 * take seconds for it, and the manager goes on writing meanwhile.
 */
import { DatabaseSync } from "node:sqlite";

/** Blocks nobody but its caller. What is written while it works is left for the next time. */
export function checkpoint(databasePath: string): void {
  const sqlite = new DatabaseSync(databasePath);
  try {
    // PASSIVE takes no lock that a writer needs (sqlite.org/pragma.html#pragma_wal_checkpoint).
    sqlite.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
  } finally {
    sqlite.close();
  }
}

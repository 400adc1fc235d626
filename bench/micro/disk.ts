/** A manager's database on a real folder, for benchmarks whose hours are moved by hand. */
import { limits } from "../../lib/limits.ts";
import { checkpoint } from "../../lib/store/checkpoint.ts";
import { databasePath, fileBytes, logPath } from "../../lib/store/data_folder.ts";
import type { Store } from "../../lib/store/store.ts";

/**
 * All of a minute is on the disk, and a log that has grown long is merged, as the manager's `keepLogShort()` does.
 * The kernel counts a page of a file when it is first made dirty, and again once it was written out in between, as
 * happens within a minute of real time: so a minute here costs as much.
 */
export function endMinute(store: Store, folder: string): void {
  const database = databasePath(folder);
  sync(logPath(database));
  if (store.log().bytes < limits.storeLogBytesMax) return;
  checkpoint(database);
  sync(database);
}

export function databaseBytes(folder: string): number {
  const database = databasePath(folder);
  return fileBytes(database) + fileBytes(logPath(database));
}

function sync(path: string): void {
  using file = Deno.openSync(path, { write: true });
  file.syncDataSync();
}

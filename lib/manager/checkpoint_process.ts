/**
 * Keeps the store's log short without ever waiting for the disk: looks at it now and then, and when it has grown lets
 * another process of the same program bring it into the database (docs/decisions/0015).
 */
import { type Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Store } from "../store/store.ts";
import { runInOwnProcess } from "./own_process.ts";

/** The program's first argument when it is to do this; the database's path follows. */
export const checkpointArgument = "checkpoint";

const lookMs = 60_000;

export interface LogKeeperOptions {
  clock: Clock;
  log: Log;
  store: Pick<Store, "log">;
  /** Resolves when the log has been brought in. */
  checkpoint(): Promise<void>;
}

/** Returns the stop. */
export function keepLogShort({ clock, log, store, checkpoint }: LogKeeperOptions): () => void {
  let underWay = false;
  /** A log that was brought in keeps its size until the next write, which starts it over. */
  let broughtIn = 0;
  return clock.every(lookMs, () => {
    const { bytes, changes } = store.log();
    if (underWay || bytes < limits.storeLogBytesMax || changes === broughtIn) return;
    underWay = true;
    checkpoint().then(
      () => broughtIn = changes,
      (thrown) =>
        log.warn("the store's log could not be shortened; it is tried again", {
          error: describeError(thrown),
        }),
    ).finally(() => underWay = false);
  });
}

/** `mainModule`: of the program, for when it runs from source. */
export async function checkpointInProcess(databasePath: string, mainModule: string): Promise<void> {
  await runInOwnProcess(mainModule, {
    what: "Shortening the store's log",
    args: [checkpointArgument, databasePath],
  });
}

/**
 * One agent at a time works in a data folder: a second one would take its connection and its runners' files away. The
 * lock is the system's own on a file (flock), so it ends with the process, however that ends.
 */
import { type Clock, sleep } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { inDataFolder } from "./identity.ts";

/** A lock that is free is had at once. */
const lockMsMax = 500;

/** Held until the process ends. Throws `conflict` while another agent holds the folder. */
export async function lockDataFolder(folder: string, clock: Clock): Promise<void> {
  const file = await inDataFolder(folder, () => {
    return Deno.open(`${folder}/agent.lock`, { create: true, write: true, mode: 0o600 });
  });
  const isOurs = await Promise.race([
    file.lock(true).then(() => true),
    sleep(clock, lockMsMax).then(() => false),
  ]);
  if (isOurs) return;
  throw new SqwishError(
    "conflict",
    `The data folder ${folder} belongs to one agent at a time, and another one is running on it; ` +
      "stop that one or choose another folder with --data",
  );
}

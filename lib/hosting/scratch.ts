/**
 * The folder for what runners must reach: their sockets and their modules' files. Inside the agent's data folder
 * when the runners' user can get there and the sockets' paths stay short enough, else in `/run` (which no clean-up by
 * age touches) or the system's temporary folder.
 */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unreachable } from "./runner_user.ts";

/** A unix socket's path has at most 107 bytes (unix(7)); its name takes 20 of them. */
const folderBytesMax = 85;

export interface Scratch {
  folder: string;
  remove(): Promise<void>;
}

export async function openScratch(dataFolder: string): Promise<Scratch> {
  let folder = join(dataFolder, "run");
  await rm(folder, { recursive: true, force: true });
  const tooLong = new TextEncoder().encode(folder).length > folderBytesMax;
  // The data folder itself is made private by its owner, apart from being passed through.
  if (tooLong || Deno.build.os === "windows" || (Deno.uid() === 0 && unreachable(dataFolder) !== null)) {
    folder = await mkdtempIn(["/run", tmpdir()]);
  } else {
    await mkdir(folder);
  }
  // Others may enter a name they know and list nothing.
  await chmod(folder, 0o711);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** In the first of `parents` where it can be made. */
async function mkdtempIn(parents: string[]): Promise<string> {
  for (const parent of parents.slice(0, -1)) {
    try {
      return await mkdtemp(join(parent, "sqwish-agent-"));
    } catch {
      // Absent, or not ours to write.
    }
  }
  return await mkdtemp(join(parents.at(-1)!, "sqwish-agent-"));
}

/** The file of `--ready-file`: tells scripts that the manager serves, and the secrets of its first start. */
import { rm } from "node:fs/promises";
import { SqwishError } from "../errors.ts";

/** Throws `invalid_request` when it could not be written; leaves one of an earlier start as it is. */
export async function requireReadyFile(path: string): Promise<void> {
  const isFolder = await Deno.stat(path).then((at) => at.isDirectory, () => false);
  try {
    if (isFolder) throw new Error("it is a folder");
    await writePartial(path, "");
    await rm(partialOf(path));
  } catch (cause) {
    const message = `The ready file ${path} can't be written; choose another with --ready-file`;
    throw new SqwishError("invalid_request", message, { cause });
  }
}

/** Puts the file in place whole. */
export async function writeReadyFile(path: string, text: string): Promise<void> {
  await writePartial(path, text);
  await Deno.rename(partialOf(path), path);
}

/** Made anew: one that somebody else has left there would keep its owner and mode. */
async function writePartial(path: string, text: string): Promise<void> {
  await rm(partialOf(path), { force: true });
  await Deno.writeTextFile(partialOf(path), text, { mode: 0o600, createNew: true });
}

function partialOf(path: string): string {
  return `${path}.partial`;
}

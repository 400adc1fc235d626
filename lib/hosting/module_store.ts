/**
 * Modules on the agent's disk. `modules/<sha256>` is a cache by content; each loaded replica gets a folder of its own
 * under `replicas/` with its files by path. Bytes are checked against their SHA-256 when they arrive and each time
 * they are used; a damaged cache file is fetched again. What no desired replica needs is pruned.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SqwishError } from "../errors.ts";
import type { Random } from "../random.ts";
import type { ModuleFile, ReplicaSpecification } from "../protocol/messages.ts";

export interface ModuleStore {
  /** Fetches what is missing and lays the replica's files out. Returns the folder's absolute path. */
  layOut(specification: ReplicaSpecification): Promise<string>;
  /** Removes a folder that `layOut` returned. */
  remove(folder: string): Promise<void>;
  /** Deletes cached modules that none of `specifications` names. */
  prune(specifications: readonly ReplicaSpecification[]): Promise<void>;
}

export interface ModuleStoreOptions {
  /** Private to the agent: holds the cache. */
  cacheFolder: string;
  /** Reachable for the runners' user. Emptied at the start: nothing in it outlives its agent. */
  replicasFolder: string;
  random: Random;
  fetchModule(sha256: string): Promise<Uint8Array>;
}

export async function openModuleStore(options: ModuleStoreOptions): Promise<ModuleStore> {
  const { cacheFolder, replicasFolder } = options;
  await mkdir(cacheFolder, { recursive: true, mode: 0o700 });
  await rm(replicasFolder, { recursive: true, force: true });
  await mkdir(replicasFolder, { recursive: true });
  // Enter only: a runner can't list what else runs here, and the folders' names can't be guessed.
  await chmod(replicasFolder, 0o711);
  const fetching = new Map<string, Promise<Uint8Array>>();

  async function bytesOf(module: ModuleFile): Promise<Uint8Array> {
    const cached = await readCached(join(cacheFolder, module.sha256), module.sha256);
    if (cached) return cached;
    let fetched = fetching.get(module.sha256);
    if (!fetched) {
      fetched = fetchChecked(module).finally(() => fetching.delete(module.sha256));
      fetching.set(module.sha256, fetched);
    }
    return await fetched;
  }

  async function fetchChecked(module: ModuleFile): Promise<Uint8Array> {
    const bytes = await options.fetchModule(module.sha256);
    const got = sha256Of(bytes);
    if (got !== module.sha256) {
      throw new SqwishError(
        "internal",
        `${module.source} must have SHA-256 ${module.sha256}, what arrived has ${got}`,
      );
    }
    const path = join(cacheFolder, module.sha256);
    // Renamed into place, so that a crash can't leave half a file under the full name.
    const partial = `${path}.${hex(options.random.secret(4))}.partial`;
    await writeFile(partial, bytes, { mode: 0o600 });
    await rename(partial, path);
    return bytes;
  }

  async function layOut(specification: ReplicaSpecification): Promise<string> {
    const { replicaSet, revision, modules } = specification;
    for (const module of modules) checkPath(module.path);
    const folder = join(replicasFolder, `${replicaSet}@${revision}-${hex(options.random.secret(8))}`);
    try {
      await mkdir(folder);
      for (const module of modules) {
        const bytes = await bytesOf(module);
        const path = join(folder, module.path);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, bytes);
        await chmod(path, 0o644);
      }
    } catch (thrown) {
      await rm(folder, { recursive: true, force: true });
      throw thrown;
    }
    return folder;
  }

  async function prune(specifications: readonly ReplicaSpecification[]): Promise<void> {
    const needed = new Set(specifications.flatMap((one) => one.modules.map((module) => module.sha256)));
    for (const name of await readdir(cacheFolder)) {
      const sha256 = name.slice(0, 64);
      if (!needed.has(sha256) && !fetching.has(sha256)) await rm(join(cacheFolder, name), { force: true });
    }
  }

  return { layOut, prune, remove: (folder) => rm(folder, { recursive: true, force: true }) };
}

async function readCached(path: string, sha256: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFile(path);
    return sha256Of(bytes) === sha256 ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Throws `invalid_request` for a path that is not plainly inside its folder. */
export function checkPath(path: string): void {
  const parts = path.split("/");
  // deno-lint-ignore no-control-regex -- a NUL would cut the path short in the system's eyes
  const strange = /[\\\u0000]/.test(path) ||
    parts.some((part) => part === "" || part === "." || part === "..");
  if (strange) {
    throw new SqwishError(
      "invalid_request",
      `A module's path must be relative without "..", is ${JSON.stringify(path)}`,
    );
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Tells when the configuration file or one of its modules may have changed. Folders are watched, not files: an editor
 * that writes a new file and renames it over the old one would end the watch of a file.
 * A burst of changes is told once, when it has been quiet for a moment; what changed is for the caller to find out.
 */
import { basename, dirname, extname, resolve } from "node:path";
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import { moduleFilePattern } from "./module_files.ts";

export interface ConfigurationWatch {
  /** Replaces what is watched: files and folders. A folder is watched with all that is in it. */
  watch(paths: string[]): void;
  close(): void;
}

interface Watched {
  watcher: Deno.FsWatcher;
  recursive: boolean;
}

/** Calls `onChange` after changes, `onError` when a folder can't be watched (any more). */
export function watchConfiguration(options: {
  clock: Clock;
  onChange: () => void;
  onError: (folder: string, cause: unknown) => void;
}): ConfigurationWatch {
  const { clock, onChange, onError } = options;
  const watched = new Map<string, Watched>();
  let files = new Set<string>();
  let cancelTimer: (() => void) | undefined;

  function changed(): void {
    cancelTimer?.();
    cancelTimer = clock.after(limits.watchQuietMs, () => {
      cancelTimer = undefined;
      onChange();
    });
  }

  async function follow(folder: string, { watcher }: Watched): Promise<void> {
    try {
      for await (const { kind, paths } of watcher) {
        // Reading a file is an event too; answering it would go on for ever.
        if (kind !== "access" && paths.some((path) => concerns(path, files))) changed();
      }
    } catch (cause) {
      if (watched.get(folder)?.watcher === watcher) watched.delete(folder);
      onError(folder, cause);
    }
  }

  function open(folder: string, recursive: boolean): void {
    try {
      const entry = { watcher: Deno.watchFs(folder, { recursive }), recursive };
      watched.set(folder, entry);
      void follow(folder, entry);
    } catch (cause) {
      onError(folder, cause);
    }
  }

  return {
    watch(paths) {
      const folders = new Map<string, boolean>();
      files = new Set(paths.map((path) => resolve(path)));
      for (const path of files) {
        if (isFolder(path)) folders.set(path, true);
        else if (!folders.has(dirname(path))) folders.set(dirname(path), false);
      }
      for (const [folder, { watcher, recursive }] of watched) {
        if (folders.get(folder) === recursive) continue;
        watched.delete(folder);
        watcher.close();
      }
      for (const [folder, recursive] of folders) if (!watched.has(folder)) open(folder, recursive);
    },
    close() {
      cancelTimer?.();
      cancelTimer = undefined;
      for (const { watcher } of watched.values()) watcher.close();
      watched.clear();
    },
  };
}

/** A watched file, a module, or what may be a folder of modules; a database next to them is none of these. */
function concerns(path: string, files: Set<string>): boolean {
  return files.has(path) || moduleFilePattern.test(path) || extname(basename(path)) === "";
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Files and folders that a user names → the sources of one replicaSet, laid out as on disk.
 * Configuration file (manager) or command line (client) → here → `modules.ts`. Reads files, decides nothing else.
 * A named file is an entry; in a folder the files that no other file imports are; what they import comes along.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { limits } from "../limits.ts";
import { didYouMean } from "../near_miss.ts";
import { isRelative } from "./import_check.ts";
import type { ModuleError } from "./module_errors.ts";
import { isModuleFile } from "./module_files.ts";
import { readModule } from "./module_syntax.ts";
import type { ModuleSource } from "./modules.ts";

export type CollectResult = { ok: true; modules: ModuleSource[] } | { ok: false; errors: ModuleError[] };

interface Found {
  /** "file" and "folder": how the user named it; "import": another file asks for it. */
  by: "file" | "folder" | "import";
  bytes: Uint8Array;
  /** Absolute paths of the files it imports, as far as they exist. */
  imports: string[];
  exportsSomething: boolean;
}

/** Reads what `paths` (relative to `baseFolder`) name. Errors name files relative to `baseFolder`, all at once. */
export async function collectModules(
  paths: string[],
  options: { baseFolder: string },
): Promise<CollectResult> {
  const base = resolve(options.baseFolder);
  const collection = new Collection(base);
  for (const path of paths) await collection.addNamed(resolve(base, path));
  await collection.followImports();
  return collection.finish();
}

class Collection {
  readonly #base: string;
  readonly #found = new Map<string, Found>();
  readonly #errors: ModuleError[] = [];
  #totalBytes = 0;

  constructor(base: string) {
    this.#base = base;
  }

  async addNamed(path: string): Promise<void> {
    const kind = await kindOf(path);
    if (kind === "folder") return await this.#addFolder(path);
    if (kind === "missing") return this.#error(path, `does not exist${await siblingHint(path)}`);
    if (!isModuleFile(path)) {
      return this.#error(path, "is not a module: only .ts, .mts, .js, .mjs and .wasm files are");
    }
    // A file that a folder brought in becomes an entry when it is named as well.
    const known = this.#found.get(path);
    if (known) known.by = "file";
    else await this.#add(path, "file");
  }

  async followImports(): Promise<void> {
    // The map grows while it is walked, so that what imported files import comes along too.
    for (const { imports } of this.#found.values()) {
      for (const path of imports) if (!this.#found.has(path)) await this.#add(path, "import");
    }
  }

  finish(): CollectResult {
    const imported = new Set(
      [...this.#found].flatMap(([path, { imports }]) => imports.filter((at) => at !== path)),
    );
    const kept = [...this.#found].filter(([path, { by, exportsSomething }]) =>
      by !== "folder" || exportsSomething || imported.has(path)
    );
    if (this.#errors.length > 0) return { ok: false, errors: this.#errors };
    if (kept.length === 0) {
      return { ok: false, errors: [{ file: "modules", message: "no file that exports anything was found" }] };
    }
    const root = commonFolder(kept.map(([path]) => path));
    const modules = kept.map(([path, { by, bytes }]) => ({
      path: relative(root, path).replaceAll(sep, "/"),
      source: this.#name(path),
      bytes,
      entry: by === "file" || (by === "folder" && !imported.has(path)),
    }));
    return { ok: true, modules: modules.sort((left, right) => left.path < right.path ? -1 : 1) };
  }

  async #addFolder(folder: string): Promise<void> {
    const entries = await readdir(folder, { withFileTypes: true });
    for (const entry of entries.sort((left, right) => left.name < right.name ? -1 : 1)) {
      if (this.#found.size > limits.modulesPerSetMax) return;
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      const path = join(folder, entry.name);
      // Links to folders are not followed: they may lead in circles.
      if (entry.isDirectory()) await this.#addFolder(path);
      else if (isModuleFile(path) && !isTest(path) && !this.#found.has(path)) await this.#add(path, "folder");
    }
  }

  async #add(path: string, by: Found["by"]): Promise<void> {
    if (this.#found.size > limits.modulesPerSetMax) return;
    if (this.#found.size === limits.modulesPerSetMax) {
      this.#error(path, `is one too many: a replicaSet has at most ${limits.modulesPerSetMax} files`);
    }
    const found: Found = { by, bytes: new Uint8Array(0), imports: [], exportsSomething: true };
    this.#found.set(path, found);
    try {
      const { size } = await stat(path);
      this.#totalBytes += size;
      if (size > limits.moduleBytesMax) {
        return this.#error(path, `a file takes at most ${limits.moduleBytesMax} bytes, this one has ${size}`);
      }
      if (this.#totalBytes > limits.setBytesMax) {
        return this.#error(
          path,
          `is too much: a replicaSet's files take at most ${limits.setBytesMax} bytes`,
        );
      }
      found.bytes = new Uint8Array(await readFile(path));
    } catch (thrown) {
      return this.#error(path, `can't be read: ${(thrown as { code?: string }).code ?? String(thrown)}`);
    }
    if (!path.endsWith(".wasm")) await this.#readImports(path, found);
  }

  async #readImports(path: string, found: Found): Promise<void> {
    // A file that does not parse is reported once, with its place, by `buildModules`.
    const read = readModule(new TextDecoder().decode(found.bytes), path);
    if (!read.ok) return;
    const { imports, exports } = read.syntax;
    found.exportsSomething = exports.size > 0 || imports.some(({ star }) => star);
    for (const { specifier } of imports) {
      if (!isRelative(specifier)) continue;
      const target = resolve(dirname(path), specifier.replace(/[?#].*$/, ""));
      const candidates = [target, target.replace(/\.(m?)js$/, ".$1ts")].filter(isModuleFile);
      for (const candidate of candidates) {
        if (await kindOf(candidate) !== "file") continue;
        found.imports.push(candidate);
        break;
      }
    }
  }

  #error(path: string, message: string): void {
    this.#errors.push({ file: this.#name(path), message });
  }

  #name(path: string): string {
    const name = relative(this.#base, path).replaceAll(sep, "/") || ".";
    // Far away, "../../../tmp/x.ts" says less than "/tmp/x.ts".
    return name.startsWith("..") && name.length > path.length ? path : name;
  }
}

function isTest(path: string): boolean {
  return /[._]test\.m?[jt]s$/.test(path);
}

async function kindOf(path: string): Promise<"file" | "folder" | "missing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "missing";
  }
}

async function siblingHint(path: string): Promise<string> {
  try {
    return didYouMean(basename(path), await readdir(dirname(path)));
  } catch {
    return "";
  }
}

function commonFolder(paths: string[]): string {
  let folder = dirname(paths[0]);
  for (const path of paths) {
    while (folder !== dirname(folder) && !path.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
      folder = dirname(folder);
    }
  }
  return folder;
}

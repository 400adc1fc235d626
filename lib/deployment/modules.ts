/**
 * The sources of one replicaSet → the files that agents run, each with its SHA-256, or every error at once.
 * `collect.ts` (or a deployment over the API) → here → `revision.ts` → store → agents. Nothing is run or fetched.
 * A set is accepted only whole: each file parses, each import is met, each endpoint has one module.
 */
import { createHash } from "node:crypto";
import { problemOfEndpointName } from "../endpoint_name.ts";
import { limits } from "../limits.ts";
import type { ModuleFile } from "../protocol/messages.ts";
import { readDocstrings } from "./docstrings.ts";
import { checkImports, exportedNames, isRelative, type ReadSource } from "./import_check.ts";
import type { ModuleError } from "./module_errors.ts";
import { isModuleFile } from "./module_files.ts";
import { javascriptPath, readModule } from "./module_syntax.ts";
import { readWasm } from "./wasm_exports.ts";

/** One file as the user wrote it. */
export interface ModuleSource {
  /** Place among the others: relative, with "/", no "..". */
  path: string;
  /** The name the user gave it, for messages and stack traces. */
  source: string;
  bytes: Uint8Array;
  /** True: its exported functions are endpoints. */
  entry: boolean;
}

export interface BuiltModules {
  modules: ModuleFile[];
  /** By SHA-256 in hex. */
  blobs: Map<string, Uint8Array>;
  /** Names of the functions that entries export. */
  functions: string[];
}

export type BuildResult = { ok: true } & BuiltModules | { ok: false; errors: ModuleError[] };

interface BuiltFile {
  file: ModuleFile;
  bytes: Uint8Array;
  /** Names that may be called from outside. */
  endpoints: string[];
  exportsSomething: boolean;
}

/** Exports with a meaning of their own; every module may have them. */
const reservedNames = new Set(["endpoints", "ready", "stop"]);

/** Strips, checks and hashes a set. */
export async function buildModules(sources: ModuleSource[]): Promise<BuildResult> {
  const bounds = checkBounds(sources);
  if (bounds.length > 0) return { ok: false, errors: bounds };
  const errors: ModuleError[] = [];
  const scripts: ReadSource[] = [];
  const built = new Map<string, BuiltFile>();
  for (const module of sources) {
    if (module.path.endsWith(".wasm")) {
      const wasm = await readWasm(module.bytes);
      if (!wasm.ok) errors.push({ file: module.source, message: wasm.message });
      else built.set(module.path, buildFile(module, "wasm", module.bytes, wasm.functions));
      continue;
    }
    const read = readScript(module);
    if ("message" in read) errors.push(read);
    else scripts.push(read);
  }
  errors.push(...checkImports(scripts, new Set(sources.map(({ path }) => path))));
  const byPath = new Map(scripts.map((script) => [script.path, script]));
  for (const script of scripts) {
    const module = sources.find(({ path }) => path === script.path)!;
    built.set(script.path, buildScript(module, script, byPath));
  }
  const files = sources.flatMap(({ path }) => built.get(path) ?? []);
  errors.push(...checkEndpoints(files, errors.length === 0));
  if (errors.length > 0) return { ok: false, errors };
  return {
    ok: true,
    modules: files.map(({ file }) => file),
    blobs: new Map(files.map(({ file, bytes }) => [file.sha256, bytes])),
    functions: files.flatMap(({ file, endpoints }) => file.entry ? endpoints : []),
  };
}

function checkBounds(sources: ModuleSource[]): ModuleError[] {
  const everything = sources[0]?.source ?? "modules";
  if (sources.length > limits.modulesPerSetMax) {
    const message =
      `a replicaSet has at most ${limits.modulesPerSetMax} files, this one has ${sources.length}`;
    return [{ file: everything, message }];
  }
  const errors: ModuleError[] = [];
  const taken = new Map<string, string>();
  let setBytes = 0;
  for (const { path, source, bytes } of sources) {
    setBytes += bytes.length;
    const message = pathProblem(path) ?? sizeProblem(bytes.length);
    if (message !== null) errors.push({ file: source, message });
    const target = javascriptPath(path);
    const other = taken.get(target);
    if (other !== undefined) {
      errors.push({ file: source, message: `becomes ${target}, as ${other} does; rename one` });
    }
    taken.set(target, source);
  }
  if (setBytes > limits.setBytesMax) {
    const message = `a replicaSet's files take at most ${limits.setBytesMax} bytes, these have ${setBytes}`;
    errors.push({ file: everything, message });
  }
  if (!sources.some(({ entry }) => entry)) {
    errors.push({
      file: everything,
      message: "no file is an entry, so the replicaSet would have no endpoints",
    });
  }
  return errors;
}

function pathProblem(path: string): string | null {
  const parts = path.split("/");
  if (
    path.length > 255 || parts.some((part) => part === "" || part === "." || part === "..") ||
    /[\\\0:]/.test(path)
  ) {
    return `has the path ${JSON.stringify(path)}, must be relative, without "..", at most 255 characters`;
  }
  return isModuleFile(path)
    ? null
    : "is not a module: only .ts, .mts, .js, .mjs and .wasm files are (bundle others: deno bundle)";
}

function sizeProblem(bytes: number): string | null {
  return bytes <= limits.moduleBytesMax
    ? null
    : `a file takes at most ${limits.moduleBytesMax} bytes, this one has ${bytes}`;
}

function readScript({ path, source, bytes }: ModuleSource): ReadSource | ModuleError {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { file: source, message: "is not text in UTF-8" };
  }
  const read = readModule(text, path);
  if (read.ok) return { path, source, text, syntax: read.syntax };
  const { message, line, column } = read.problem;
  return { file: source, line, column, message: `does not parse: ${message}` };
}

function buildScript(module: ModuleSource, script: ReadSource, byPath: Map<string, ReadSource>): BuiltFile {
  const { code, imports } = script.syntax;
  let rewritten = code;
  for (const { specifier, start, end } of imports) {
    // The new name is as long as the old one, so every position stays.
    if (!isRelative(specifier)) continue;
    const quote = code[start];
    rewritten = rewritten.slice(0, start) + quote +
      code.slice(start + 1, end - 1).replace(/\.(m?)ts$/, ".$1js") + quote + rewritten.slice(end);
  }
  const endpoints = [...exportedNames(script, byPath)]
    .filter(([name, kind]) => kind === "function" && !reservedNames.has(name))
    .map(([name]) => name);
  const docs = module.entry ? readDocstrings(script.text, endpoints) : undefined;
  const built = buildFile(module, "js", new TextEncoder().encode(rewritten), endpoints);
  const exportsSomething = endpoints.length > 0 || script.syntax.exports.size > 0;
  return { ...built, exportsSomething, file: docs ? { ...built.file, docs } : built.file };
}

function buildFile(
  module: ModuleSource,
  kind: ModuleFile["kind"],
  bytes: Uint8Array,
  endpoints: string[],
): BuiltFile {
  const file = {
    path: javascriptPath(module.path),
    source: module.source,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    sizeBytes: bytes.length,
    kind,
    entry: module.entry,
  };
  return { file, bytes, endpoints, exportsSomething: true };
}

/** `complete`: nothing else is wrong, so a set without endpoints can be blamed for it. */
function checkEndpoints(files: BuiltFile[], complete: boolean): ModuleError[] {
  const errors: ModuleError[] = [];
  const owners = new Map<string, string>();
  for (const { file, endpoints, exportsSomething } of files) {
    if (!file.entry) continue;
    if (!exportsSomething && complete) {
      errors.push({
        file: file.source,
        message: "exports nothing, so it has no endpoints; export a function",
      });
    }
    for (const name of endpoints) {
      const owner = owners.get(name);
      const problem = problemOfEndpointName(name);
      if (problem !== null) errors.push({ file: file.source, message: problem });
      if (owner === undefined) owners.set(name, file.source);
      else {
        const message =
          `exports \`${name}\`, and so does ${owner}; every endpoint needs one module, rename one`;
        errors.push({ file: file.source, message });
      }
    }
  }
  if (owners.size > limits.endpointsPerSetMax) {
    const message =
      `a replicaSet has at most ${limits.endpointsPerSetMax} endpoints, this one has ${owners.size}`;
    errors.push({ file: files[0].file.source, message });
  }
  if (owners.size === 0 && complete && errors.length === 0) {
    const message = "no exported function in any entry, so the replicaSet would have no endpoints";
    errors.push({ file: files[0].file.source, message });
  }
  return errors;
}

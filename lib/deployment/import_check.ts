/**
 * Whether a set of modules fits together: every import leads to a module of the set that exports what is asked for.
 * Agents fetch nothing, so packages and addresses are refused here with the way out (bundle first).
 * Pure; called for the whole set once each file has been read on its own.
 */
import { isBuiltin } from "node:module";
import { didYouMean } from "../near_miss.ts";
import type { ModuleError } from "./module_errors.ts";
import type { ExportKind, ImportReference, ModuleSyntax } from "./module_syntax.ts";

export interface ReadSource {
  path: string;
  source: string;
  /** The text as the user wrote it. */
  text: string;
  syntax: ModuleSyntax;
}

/** Path of the module that `specifier` means in the file at `from`, or null when it leads out of the set's folder. */
export function resolveImport(from: string, specifier: string): string | null {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.replace(/[?#].*$/, "").split("/")) {
    if (part === "." || part === "") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  return parts.join("/");
}

export function isRelative(specifier: string): boolean {
  return specifier.startsWith("./") || specifier.startsWith("../");
}

/** The module a relative import means: as written, or the TypeScript file behind a `.js` name. */
export function findImported<Module>(
  modules: Map<string, Module>,
  from: string,
  specifier: string,
): Module | undefined {
  const path = resolveImport(from, specifier);
  if (path === null) return undefined;
  return modules.get(path) ?? modules.get(path.replace(/\.(m?)js$/, ".$1ts"));
}

/** Every import that can't work, in the order of the files. `known` also holds paths of files that did not parse. */
export function checkImports(modules: ReadSource[], known: Set<string>): ModuleError[] {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  return modules.flatMap((module) =>
    module.syntax.imports.flatMap((reference) => {
      const message = checkImport(module, reference, byPath, known);
      return message === null ? [] : [{ file: module.source, ...locate(module, reference), message }];
    })
  );
}

/** All names a module exports, those of `export * from` included (ECMA-262, 16.2.1.7.2.1: without `default`). */
export function exportedNames(
  module: ReadSource,
  byPath: Map<string, ReadSource>,
  seen: Set<string> = new Set(),
): Map<string, ExportKind> {
  const names = new Map(module.syntax.exports);
  if (seen.has(module.path)) return names;
  seen.add(module.path);
  for (const { star, specifier } of module.syntax.imports) {
    const target = star ? findImported(byPath, module.path, specifier) : undefined;
    if (!target) continue;
    for (const [name, kind] of exportedNames(target, byPath, seen)) {
      if (name !== "default" && !names.has(name)) names.set(name, kind);
    }
  }
  return names;
}

function checkImport(
  module: ReadSource,
  reference: ImportReference,
  byPath: Map<string, ReadSource>,
  known: Set<string>,
): string | null {
  const { specifier } = reference;
  if (specifier.startsWith("node:")) return null;
  if (!isRelative(specifier)) return outsideImport(module, specifier);
  const target = findImported(byPath, module.path, specifier);
  if (!target) {
    const path = resolveImport(module.path, specifier) ?? specifier;
    if (known.has(path) || known.has(path.replace(/\.(m?)js$/, ".$1ts"))) return null;
    if (/\.(json|wasm|txt|css)$/.test(path)) {
      return `imports ${specifier}, only .ts, .mts, .js and .mjs files can be imported`;
    }
    return `imports ${specifier}, which is not among the modules${didYouMean(path, byPath.keys())}`;
  }
  const names = exportedNames(target, byPath);
  const missing = reference.names.find((name) => !names.has(name));
  if (missing === undefined || hasUnknownStar(target, byPath)) return null;
  return `imports \`${missing}\` from ${specifier}, which exports no such value${
    didYouMean(missing, names.keys()) || " (a type is imported with `import type`)"
  }`;
}

function outsideImport(module: ReadSource, specifier: string): string {
  if (isBuiltin(specifier)) return `imports "${specifier}", built-in modules are written "node:${specifier}"`;
  if (specifier === "sqwish") {
    return `imports a value from "sqwish", which has only types: write \`import type { Context } from "sqwish"\``;
  }
  if (specifier.startsWith("/") || specifier.startsWith("file:")) {
    return `imports "${specifier}", files are imported by relative paths such as "./lib.ts"`;
  }
  const bundle = javascriptName(module.source);
  return `imports "${specifier}", agents fetch no packages; bundle it first: deno bundle ${module.source} -o ${bundle}`;
}

function javascriptName(source: string): string {
  return `${source.replace(/\.m?[jt]s$/, "")}.bundle.js`;
}

/** True when some of the target's names come from a file that could not be read: then none can be said to be missing. */
function hasUnknownStar(
  target: ReadSource,
  byPath: Map<string, ReadSource>,
  seen = new Set<string>(),
): boolean {
  if (seen.has(target.path)) return false;
  seen.add(target.path);
  return target.syntax.imports.some(({ star, specifier }) => {
    if (!star) return false;
    const next = findImported(byPath, target.path, specifier);
    return !next || hasUnknownStar(next, byPath, seen);
  });
}

/** Where an import stands in the user's text. Transformed code has other positions, so there the text is searched. */
function locate(
  { syntax, text }: ReadSource,
  { start, end }: ImportReference,
): { line: number; column: number } {
  const literal = syntax.code.slice(start, end);
  const inner = literal.slice(1, -1);
  const found = syntax.inPlace ? start : Math.max(text.indexOf(`"${inner}"`), text.indexOf(`'${inner}'`), 0);
  const before = (syntax.inPlace ? syntax.code : text).slice(0, found);
  const line = before.split("\n").length;
  return { line, column: found - (before.lastIndexOf("\n") + 1) + 1 };
}

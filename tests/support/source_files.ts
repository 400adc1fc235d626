/**
 * The repository's own source as data, for tests that hold it to the house rules: files, their imports, their
 * functions. Works on text laid out by `deno fmt`, which is what makes the simple patterns here reliable.
 */
import { dirname, join, normalize, relative } from "node:path";

export interface SourceFile {
  /** Relative to the repository's root, with "/". */
  path: string;
  text: string;
  /** The text without comments and strings, for looking at what the code does. */
  code: string;
}

export interface SourceFunction {
  name: string;
  /** Its own lines, without those of named functions inside it. */
  lines: number;
}

export const repositoryRoot = normalize(join(import.meta.dirname!, "../.."));

const skippedFolders = new Set([".git", "dist", "node_modules", "vendor", "sqwish-data", "sqwish-agent"]);

/** Every file with one of the endings, in a stable order. */
export function readSourceFiles(endings: string[]): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string) => {
    for (const entry of [...Deno.readDirSync(folder)].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory && !skippedFolders.has(entry.name)) visit(path);
      if (!entry.isFile || !endings.some((ending) => entry.name.endsWith(ending))) continue;
      const text = Deno.readTextFileSync(path);
      files.push({ path: relative(repositoryRoot, path), text, code: withoutProse(text) });
    }
  };
  visit(repositoryRoot);
  return files;
}

/** What a file imports or re-exports, as written, also lazily; without `types`, only what is loaded when it runs. */
export function importsOf(file: SourceFile, options: { types: boolean } = { types: true }): string[] {
  const text = file.text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  const statements = [...text.matchAll(/^(?:import|export)\b([^;"]*?)\bfrom\s+"([^"]+)"/gm)]
    .filter(([, clause]) => options.types || !isTypesOnly(clause))
    .map(([, , specifier]) => specifier);
  const others = [/^import\s+"([^"]+)"/gm, /\bimport\(\s*"([^"]+)"/g];
  return [
    ...statements,
    ...others.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1])),
  ];
}

/** `type { A }`, or `{ type A, type B }`. */
function isTypesOnly(clause: string): boolean {
  if (clause.trim().startsWith("type ")) return true;
  const names = /^\s*\{([\s\S]*)\}\s*$/.exec(clause)?.[1].split(",").map((name) => name.trim()).filter(
    Boolean,
  );
  return names !== undefined && names.every((name) => name.startsWith("type "));
}

/** The repository path a relative import leads to. */
export function resolveImport(from: string, specifier: string): string {
  return normalize(join(dirname(from), specifier));
}

/** Named functions and methods with their lengths. */
export function functionsOf(file: SourceFile): SourceFunction[] {
  const start =
    /^( *)(?:export )?(?:default )?(?:async )?(?:function\*? (\w+)|(?:static |async |get |set |\*)*(#?\w+)\(.*)/;
  const notMethods = new Set([
    "if",
    "for",
    "while",
    "switch",
    "catch",
    "return",
    "super",
    "await",
    "throw",
    "new",
  ]);
  const lines = file.text.split("\n");
  const found: (SourceFunction & { from: number; to: number })[] = [];
  lines.forEach((line, from) => {
    const match = start.exec(line);
    const name = match?.[2] ?? match?.[3];
    if (!match || !name || notMethods.has(name)) return;
    const isDeclaration = match[2] !== undefined;
    if (!isDeclaration && !opensBody(lines, from, match[1])) return;
    const to = lines.findIndex((other, index) => index >= from && other === `${match[1]}}`);
    if (to < 0 || (isDeclaration && line.trimEnd().endsWith("}"))) return;
    found.push({ name, from, to, lines: to - from + 1 });
  });
  for (const outer of found) {
    const inside = found.filter((inner) => inner.from > outer.from && inner.to < outer.to);
    const direct = inside.filter((inner) =>
      !inside.some((other) => other.from < inner.from && other.to > inner.to)
    );
    outer.lines -= direct.reduce((sum, inner) => sum + inner.to - inner.from + 1, 0);
  }
  return found.map(({ name, lines: count }) => ({ name, lines: count }));
}

/** A method's head ends with "{" on its own line or on the one that closes its parameters; a call's never does. */
function opensBody(lines: string[], from: number, indent: string): boolean {
  if (/\) ?(?::.*)?\{$/.test(lines[from]) && !lines[from].includes("=>")) return true;
  if (!lines[from].endsWith("(")) return false;
  const close = lines.slice(from + 1).find((line) => line.startsWith(`${indent})`));
  return close !== undefined && close.endsWith("{") && !close.includes("=>");
}

function withoutProse(text: string): string {
  return text.replaceAll(
    /\/\*[\s\S]*?\*\/|(?<![:\\"'`/])\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g,
    (prose) => (prose.startsWith("/") ? "" : '""'),
  );
}

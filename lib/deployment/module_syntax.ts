/**
 * What one ES module imports and exports, read from its syntax with acorn; nothing is run.
 * Source text → `strip_types.ts` (TypeScript only) → here → `import_check.ts`.
 * Imports that only types used are blanked out here, as the TypeScript compiler would drop them.
 */
import { type Options, Parser, type Program, tokTypes } from "acorn";
import { stripTypes, type SyntaxProblem } from "./strip_types.ts";

export interface ImportReference {
  specifier: string;
  /** Offsets of the quoted specifier in `code`. */
  start: number;
  end: number;
  /** Exported names it needs from the other module; none for a namespace, a side effect or a dynamic import. */
  names: string[];
  /** `export * from`: all names of the other module but `default`. */
  star: boolean;
}

/** "function": may be called, so it is an endpoint if the module is an entry. "value": certainly is not one. */
export type ExportKind = "function" | "value";

export interface ModuleSyntax {
  code: string;
  /** False: line numbers in `code` are not those of the source. */
  inPlace: boolean;
  imports: ImportReference[];
  exports: Map<string, ExportKind>;
}

export type ReadModule = { ok: true; syntax: ModuleSyntax } | { ok: false; problem: SyntaxProblem };

/** One node of acorn's tree (ESTree); its other fields depend on its type. */
interface SyntaxNode {
  type: string;
  start: number;
  end: number;
  name?: string;
  value?: unknown;
  [field: string]: unknown;
}
interface Specifier extends SyntaxNode {
  local: SyntaxNode;
  imported?: SyntaxNode;
  exported?: SyntaxNode;
}

/** Parses one module. `path` tells TypeScript from JavaScript and names the file in its source map. */
export function readModule(source: string, path: string): ReadModule {
  const isTypeScript = /\.m?ts$/.test(path);
  let code = source;
  let inPlace = true;
  if (isTypeScript) {
    const stripped = stripTypes(source, javascriptPath(path));
    if (!stripped.ok) return stripped;
    ({ code, inPlace } = stripped);
  }
  const usedNames = new Map<string, number[]>();
  const parser = new ModuleParser(
    {
      ecmaVersion: "latest",
      sourceType: "module",
      allowHashBang: true,
      ...(isTypeScript
        ? { onToken: (token) => token.type === tokTypes.name && noteName(usedNames, token) }
        : {}),
    },
    code,
  );
  try {
    const program = parser.parse();
    const kept = isTypeScript
      ? dropUnusedImports(program, code, usedNames)
      : { code, dropped: new Set<SyntaxNode>() };
    const syntax = { code: kept.code, inPlace, ...collect(program, kept.dropped, parser.dynamicImports) };
    return { ok: true, syntax };
  } catch (thrown) {
    const error = thrown as SyntaxError & { loc?: { line: number; column: number } };
    if (!error.loc) throw thrown;
    const message = error.message.replace(/ \(\d+:\d+\)$/, "");
    return {
      ok: false,
      problem: {
        message: message.charAt(0).toLowerCase() + message.slice(1),
        line: error.loc.line,
        column: error.loc.column + 1,
      },
    };
  }
}

/** The name a module has once its types are gone: `a.ts` → `a.js`, `a.mts` → `a.mjs`; same length as before. */
export function javascriptPath(path: string): string {
  return path.replace(/\.(m?)ts$/, ".$1js");
}

/** acorn's parser, which notes dynamic imports and forgets function bodies: a large bundle's tree would not fit a Pi. */
class ModuleParser extends (Parser as unknown as ParserWithHooks) {
  readonly dynamicImports: SyntaxNode[] = [];

  override finishNode(node: SyntaxNode, type: string): SyntaxNode {
    const finished = super.finishNode(node, type);
    if (type === "ImportExpression") this.dynamicImports.push(finished);
    if (type === "BlockStatement") finished.body = [];
    return finished;
  }
}

/** The part of acorn's plug-in interface that its types leave out. */
interface ParserWithHooks {
  new (
    options: Options,
    input: string,
  ): { parse(): Program; finishNode(node: SyntaxNode, type: string): SyntaxNode };
}

function noteName(names: Map<string, number[]>, token: { value?: unknown; start: number }): void {
  const name = String(token.value);
  const starts = names.get(name);
  if (starts) starts.push(token.start);
  else names.set(name, [token.start]);
}

/** Blanks out what is imported and never named again: with types gone, only types had used it. */
function dropUnusedImports(
  program: Program,
  code: string,
  names: Map<string, number[]>,
): { code: string; dropped: Set<SyntaxNode> } {
  const declarations = (program.body as unknown as SyntaxNode[]).filter((node) =>
    node.type === "ImportDeclaration"
  );
  const isUsed = (name: string) =>
    names.get(name)?.some((start) => !declarations.some((node) => node.start <= start && start < node.end));
  const dropped = new Set<SyntaxNode>();
  const blanks: { start: number; end: number }[] = [];
  for (const declaration of declarations) {
    const specifiers = declaration.specifiers as Specifier[];
    const unused = specifiers.filter((specifier) => !isUsed(String(specifier.local.name)));
    if (unused.length === 0) continue;
    if (unused.length === specifiers.length) {
      dropped.add(declaration);
      blanks.push(declaration);
      continue;
    }
    for (const specifier of unused) {
      if (specifier.type === "ImportNamespaceSpecifier") continue;
      dropped.add(specifier);
      const comma = /^(?:\s|\/\*[^]*?\*\/|\/\/[^\n]*)*,/.exec(code.slice(specifier.end, declaration.end));
      blanks.push({ start: specifier.start, end: specifier.end + (comma?.[0].length ?? 0) });
    }
  }
  let blanked = code;
  for (const { start, end } of blanks) {
    const spaces = code.slice(start, end).replace(/[^\n]/g, " ");
    blanked = blanked.slice(0, start) + spaces + blanked.slice(end);
  }
  return { code: blanked, dropped };
}

function collect(
  program: Program,
  dropped: Set<SyntaxNode>,
  dynamicImports: SyntaxNode[],
): Pick<ModuleSyntax, "imports" | "exports"> {
  const imports: ImportReference[] = [];
  const exports = new Map<string, ExportKind>();
  const kinds = topLevelKinds(program);
  for (const node of program.body as unknown as SyntaxNode[]) {
    const from = node.source as (SyntaxNode & { value: string }) | null | undefined;
    const specifiers = ((node.specifiers ?? []) as Specifier[]).filter((specifier) =>
      !dropped.has(specifier)
    );
    if (node.type === "ImportDeclaration" && !dropped.has(node)) {
      imports.push(reference(from!, specifiers.map(importedName).filter((name) => name !== null), false));
    } else if (node.type === "ExportAllDeclaration") {
      const alias = node.exported as SyntaxNode | null;
      if (alias) exports.set(nameOf(alias), "value");
      imports.push(reference(from!, [], !alias));
    } else if (node.type === "ExportDefaultDeclaration") {
      exports.set("default", kindOf(node.declaration as SyntaxNode));
    } else if (node.type === "ExportNamedDeclaration") {
      if (from) imports.push(reference(from, specifiers.map((specifier) => nameOf(specifier.local)), false));
      for (const specifier of specifiers) {
        const kind = from ? "function" : kinds.get(nameOf(specifier.local)) ?? "function";
        exports.set(nameOf(specifier.exported!), kind);
      }
      for (const [name, kind] of declaredKinds(node.declaration as SyntaxNode | null)) {
        exports.set(name, kind);
      }
    }
  }
  for (const node of dynamicImports) {
    const from = node.source as SyntaxNode & { value?: unknown };
    if (typeof from.value === "string") imports.push(reference({ ...from, value: from.value }, [], false));
  }
  return { imports, exports };
}

function reference(from: SyntaxNode & { value: string }, names: string[], star: boolean): ImportReference {
  return { specifier: from.value, start: from.start, end: from.end, names, star };
}

function importedName(specifier: Specifier): string | null {
  if (specifier.type === "ImportNamespaceSpecifier") return null;
  return specifier.type === "ImportDefaultSpecifier" ? "default" : nameOf(specifier.imported!);
}

function nameOf(node: SyntaxNode): string {
  return node.name ?? String(node.value);
}

function topLevelKinds(program: Program): Map<string, ExportKind> {
  return new Map((program.body as unknown as SyntaxNode[]).flatMap((node) => [...declaredKinds(node)]));
}

/** The names one declaration makes, and what they can be. */
function declaredKinds(node: SyntaxNode | null): Map<string, ExportKind> {
  const kinds = new Map<string, ExportKind>();
  if (node?.type === "FunctionDeclaration" || node?.type === "ClassDeclaration") {
    if (node.id) kinds.set(nameOf(node.id as SyntaxNode), kindOf(node));
  } else if (node?.type === "VariableDeclaration") {
    for (
      const { id, init } of node.declarations as (SyntaxNode & { id: SyntaxNode; init: SyntaxNode | null })[]
    ) {
      if (id.type === "Identifier") kinds.set(nameOf(id), init ? kindOf(init) : "function");
      else for (const name of patternNames(id)) kinds.set(name, "function");
    }
  }
  return kinds;
}

const certainlyValues = new Set([
  "ArrayExpression",
  "ClassDeclaration",
  "ClassExpression",
  "Literal",
  "NewExpression",
  "ObjectExpression",
  "TemplateLiteral",
]);

function kindOf(node: SyntaxNode): ExportKind {
  return certainlyValues.has(node.type) ? "value" : "function";
}

/** The names in `{ a, b: [c = 1], ...rest }`. */
function patternNames(pattern: SyntaxNode | null): string[] {
  switch (pattern?.type) {
    case "Identifier":
      return [nameOf(pattern)];
    case "ObjectPattern":
      return (pattern.properties as SyntaxNode[]).flatMap((item) =>
        patternNames((item.value ?? item.argument) as SyntaxNode)
      );
    case "ArrayPattern":
      return (pattern.elements as (SyntaxNode | null)[]).flatMap(patternNames);
    case "AssignmentPattern":
      return patternNames(pattern.left as SyntaxNode);
    case "RestElement":
      return patternNames(pattern.argument as SyntaxNode);
    default:
      return [];
  }
}

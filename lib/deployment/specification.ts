/**
 * Configuration text → every error at once with its path, line and column, or a whole configuration with its defaults.
 * From the configuration file and `client deploy -f` → here → `collect.ts`. Pure; nothing is half accepted.
 */
import { dirname, resolve } from "node:path";
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from "jsonc-parser";
import * as v from "valibot";
import { SqwishError } from "../errors.ts";
import {
  type Configuration,
  configurationSchema,
  type ConfiguredReplicaSet,
  configuredReplicaSetSchema,
  replicaSetSchema,
  type ReplicaSetSettings,
} from "./configuration_schema.ts";

export { configurationJsonSchema } from "./configuration_schema.ts";
export type { Configuration, ConfiguredReplicaSet, ReplicaSetSettings } from "./configuration_schema.ts";

export interface ConfigurationError {
  /** Where in the value: `replicaSets[1].replicas`; "" for the whole. */
  path: string;
  message: string;
  /** From 1; missing when the value was not read from a text. */
  line?: number;
  column?: number;
}

export type Parsed<Key extends string, Value> =
  | ({ ok: true } & Record<Key, Value>)
  | { ok: false; errors: ConfigurationError[] };

type Path = (string | number)[];
interface Finding {
  path: Path;
  message: string;
}

const objectKeys = new Set(["placement", "permissions", "env", "queue", "rollout"]);

/** Findings beyond this many are left out: the file is something else altogether. */
const findingsMax = 100;

/** Reads a configuration file's text. `data` comes back absolute; module paths stay relative to the file. */
export function parseConfiguration(
  source: string,
  options: { file: string },
): Parsed<"configuration", Configuration> {
  const read = readText(source, configurationSchema, duplicateNames);
  if (!read.ok) return read;
  const configuration = read.value;
  if (configuration.data !== undefined) {
    configuration.data = resolve(dirname(options.file), configuration.data);
  }
  return { ok: true, configuration };
}

/** Reads the text of a file that describes one replicaSet (`client deploy -f`). */
export function parseReplicaSetFile(source: string): Parsed<"replicaSet", ConfiguredReplicaSet> {
  const read = readText(source, configuredReplicaSetSchema, () => []);
  return read.ok ? { ok: true, replicaSet: read.value } : read;
}

/** Checks one replicaSet without its modules: what a deployment over the API carries. */
export function parseReplicaSet(value: unknown): Parsed<"replicaSet", ReplicaSetSettings> {
  const checked = check(replicaSetSchema, value);
  if (checked.ok) return { ok: true, replicaSet: checked.value };
  return {
    ok: false,
    errors: checked.findings.map(({ path, message }) => ({ path: dotted(path), message })),
  };
}

/** One line for people: `cluster.jsonc:12:5: replicaSets[1].replicas: must be …`. */
export function describeConfigurationError(error: ConfigurationError, file?: string): string {
  const place = error.line === undefined ? file : `${file ?? "line"}:${error.line}:${error.column}`;
  return [place, error.path, error.message].filter((part) => part !== undefined && part !== "").join(": ");
}

/** The errors of a refused configuration or replicaSet as one error; each in `details.errors`. */
export function configurationRefused(what: string, errors: ConfigurationError[], file?: string): SqwishError {
  const lines = errors.map((error) => describeConfigurationError(error, file));
  const more = lines.length > 1 ? ` (and ${lines.length - 1} more)` : "";
  return new SqwishError("invalid_request", `${what} is refused: ${lines[0]}${more}`, {
    details: { errors: lines },
  });
}

function readText<Schema extends v.GenericSchema>(
  source: string,
  schema: Schema,
  alsoCheck: (value: unknown) => Finding[],
): { ok: true; value: v.InferOutput<Schema> } | { ok: false; errors: ConfigurationError[] } {
  const locate = createLocator(source);
  const syntax: ParseError[] = [];
  const tree = parseTree(source, syntax, { allowTrailingComma: true });
  if (!tree || syntax.length > 0) {
    const first = syntax.filter((error, index) => error.offset !== syntax[index - 1]?.offset);
    const errors = first.map((error) => ({
      path: "",
      message: `is not JSON: ${wording(printParseErrorCode(error.error))}`,
      ...locate(error.offset),
    }));
    return {
      ok: false,
      errors: errors.length > 0 ? errors : [{ path: "", message: "is empty", ...locate(0) }],
    };
  }
  const value: unknown = getNodeValue(tree);
  const checked = check(schema, value);
  const findings = distinct([
    ...duplicateKeys(tree),
    ...alsoCheck(value),
    ...(checked.ok ? [] : checked.findings),
  ]);
  if (checked.ok && findings.length === 0) return { ok: true, value: checked.value };
  const errors = findings.map(({ path, message }) => ({
    path: dotted(path),
    message,
    ...locate(offsetOf(tree, path)),
  }));
  errors.sort((left, right) => left.line - right.line || left.column - right.column);
  return { ok: false, errors };
}

/**
 * Validates, and finds every unknown key too: valibot stops at an object's first one, so each that is found
 * is taken out and the rest is looked at again.
 */
function check<Schema extends v.GenericSchema>(
  schema: Schema,
  given: unknown,
): { ok: true; value: v.InferOutput<Schema> } | { ok: false; findings: Finding[] } {
  const unknown: Finding[] = listsForObjects(given);
  let value = given;
  for (;;) {
    const result = v.safeParse(schema, value);
    if (result.success && unknown.length === 0) return { ok: true, value: result.output };
    const issues = result.success ? [] : leafIssues(result.issues);
    const keys = issues.filter((issue) => issue.expected === "never");
    if (keys.length === 0 || unknown.length > findingsMax) {
      return { ok: false, findings: distinct([...unknown, ...issues.map(asFinding)]) };
    }
    unknown.push(...keys.map(asFinding));
    value = keys.reduce((rest, issue) => without(rest, pathOf(issue)), value);
  }
}

/** A union's issue hides those of its options; the value's own type tells which option was meant. */
function leafIssues(issues: v.BaseIssue<unknown>[]): v.BaseIssue<unknown>[] {
  return issues.flatMap((issue) => {
    if (issue.type !== "union" || !issue.issues) return [issue];
    const isList = Array.isArray(issue.input);
    // To valibot a list is an object too: what it says of keys doesn't count then.
    const deeper = issue.issues.filter((inner) => {
      const key = inner.path?.[0]?.key;
      return key !== undefined && (typeof key === "number") === isList;
    });
    // Of the right shape, and yet refused: that says more than which shapes there are.
    const [refused] = issue.issues.filter((inner) => !inner.path && inner.kind === "validation");
    if (deeper.length === 0 && refused && typeof issue.input === "object") {
      return [{ ...refused, path: issue.path }];
    }
    const prefix = issue.path ?? [];
    return deeper.length === 0 ? [issue] : deeper.map((inner) => ({
      ...inner,
      path: [...prefix, ...(inner.path ?? [])] as unknown as v.BaseIssue<unknown>["path"],
    }));
  });
}

function asFinding(issue: v.BaseIssue<unknown>): Finding {
  return { path: pathOf(issue), message: issue.message };
}

function pathOf(issue: v.BaseIssue<unknown>): Path {
  return (issue.path ?? []).map((item) => item.key as string | number);
}

function distinct(findings: Finding[]): Finding[] {
  const seen = new Set<string>();
  return findings.filter(({ path, message }) => {
    const key = `${dotted(path)}\n${message}`;
    return !seen.has(key) && seen.add(key);
  }).slice(0, findingsMax);
}

function without(value: unknown, [first, ...rest]: Path): unknown {
  if (Array.isArray(value)) {
    return value.map((item, index) => index === first ? without(item, rest) : item);
  }
  const entries = Object.entries(value as Record<string, unknown>);
  if (rest.length === 0) return Object.fromEntries(entries.filter(([key]) => key !== first));
  return Object.fromEntries(
    entries.map(([key, item]) => [key, key === first ? without(item, rest) : item]),
  );
}

function duplicateNames(value: unknown): Finding[] {
  const sets = (value as { replicaSets?: unknown } | null)?.replicaSets;
  if (!Array.isArray(sets)) return [];
  const firstIndex = new Map<unknown, number>();
  return sets.flatMap((set, index): Finding[] => {
    const name: unknown = set?.name;
    if (typeof name !== "string") return [];
    const first = firstIndex.get(name);
    if (first === undefined) firstIndex.set(name, index);
    if (first === undefined) return [];
    return [{
      path: ["replicaSets", index, "name"],
      message: `must be unique, replicaSets[${first}] is "${name}" too`,
    }];
  });
}

/** To valibot a list is an object too, and an empty one passes where every key is optional. */
function listsForObjects(value: unknown): Finding[] {
  const sets = (value as { replicaSets?: unknown } | null)?.replicaSets;
  const objects: { path: Path; value: unknown }[] = [{ path: [], value }];
  if (Array.isArray(sets)) {
    sets.forEach((set, index) => objects.push({ path: ["replicaSets", index], value: set }));
  }
  for (const { path, value: set } of [...objects]) {
    if (typeof set !== "object" || set === null || Array.isArray(set)) continue;
    for (const [key, inner] of Object.entries(set)) {
      if (objectKeys.has(key)) objects.push({ path: [...path, key], value: inner });
    }
  }
  return objects
    .filter((object) => Array.isArray(object.value))
    .map(({ path }) => ({ path, message: "must be an object, is a list" }));
}

/** JSON lets the last of two equal keys win without a word; a configuration doesn't. */
function duplicateKeys(node: Node, path: Path = []): Finding[] {
  if (node.type === "array") {
    return (node.children ?? []).flatMap((child, index) => duplicateKeys(child, [...path, index]));
  }
  if (node.type !== "object") return [];
  const seen = new Set<string>();
  return (node.children ?? []).flatMap((property) => {
    const key = String(property.children?.[0].value);
    const child = property.children?.[1];
    const inner = child ? duplicateKeys(child, [...path, key]) : [];
    if (!seen.has(key)) {
      seen.add(key);
      return inner;
    }
    return [{ path: [...path, key], message: "is given twice" }, ...inner];
  });
}

/** Of what a path names: its key in an object, itself in a list, or the nearest thing around it that exists. */
function offsetOf(tree: Node, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node = findNodeAtLocation(tree, path.slice(0, length));
    if (!node) continue;
    const isKey = length === path.length && node.parent?.type === "property";
    return isKey ? node.parent!.offset : node.offset;
  }
  return tree.offset;
}

function createLocator(source: string): (offset: number) => { line: number; column: number } {
  const starts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let line = starts.length;
    while (line > 1 && starts[line - 1] > offset) line--;
    return { line, column: offset - starts[line - 1] + 1 };
  };
}

function dotted(path: Path): string {
  return path.map((part, index) => typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`)
    .join("");
}

/** `CommaExpected` → "comma expected". */
function wording(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

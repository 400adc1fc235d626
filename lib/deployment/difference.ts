/**
 * What differs between two specifications, key by key: for dry runs, `manager diff` and descriptions of revisions. Pure.
 * Values of `env` are not told, for they may be secrets; only which changed.
 */
import type { RevisionSpecification } from "../protocol/revision.ts";
import type { ChangeView } from "../protocol/views.ts";

/** Changes by path, in the order of a specification's keys; everything is new when there is nothing before. */
export function differences(
  before: RevisionSpecification | undefined,
  after: RevisionSpecification,
): ChangeView[] {
  const [left, right] = [before ? flatten(before) : new Map<string, string>(), flatten(after)];
  const paths = [...new Set([...right.keys(), ...left.keys()])];
  return paths.flatMap((path): ChangeView[] => {
    const [from, to] = [left.get(path), right.get(path)];
    if (from === to) return [];
    const isSecret = path.startsWith("env.");
    return [{
      path,
      ...(from === undefined ? {} : { before: isSecret ? hidden : from }),
      ...(to === undefined ? {} : { after: isSecret ? hidden : to }),
    }];
  });
}

/** One line for each side of each change, as in a diff. */
export function diffLines(changes: readonly ChangeView[]): string[] {
  return changes.flatMap(({ path, before, after }) => [
    ...(before === undefined ? [] : [`- ${path}: ${before}`]),
    ...(after === undefined ? [] : [`+ ${path}: ${after}`]),
  ]);
}

const hidden = "(not shown)";
const digestShown = 12;

/** Paths and values in words: objects by their keys, modules by their files. */
function flatten(specification: RevisionSpecification): Map<string, string> {
  const { modules, ...rest } = specification;
  const flat = new Map<string, string>();
  for (const [key, value] of Object.entries(rest)) add(flat, key, value);
  for (const { source, sha256, sizeBytes, entry } of modules) {
    const kind = entry ? "" : ", imported";
    flat.set(`modules ${source}`, `${sizeBytes} bytes, ${sha256.slice(0, digestShown)}${kind}`);
  }
  return flat;
}

function add(flat: Map<string, string>, path: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    flat.set(path, JSON.stringify(value));
    return;
  }
  for (const [key, inner] of Object.entries(value)) add(flat, `${path}.${key}`, inner);
}

/**
 * Does a new revision take away what callers use? Pure: the endpoints before and after → what broke, in words.
 * A schema is only compared as far as what it says is plain: keys that became required, types, choices, bounds and closed
 * objects. What can't be told is left to how the revision answers.
 */
import type { EndpointDescription } from "../protocol/messages.ts";

type Schema = Record<string, unknown>;

/** One line for each endpoint that is gone or takes less, of those for which `wasCalled`. */
export function findBreaks(
  before: readonly EndpointDescription[],
  after: readonly EndpointDescription[],
  wasCalled: (name: string) => boolean,
): string[] {
  const known = new Map(after.map((endpoint) => [endpoint.name, endpoint]));
  return before.flatMap((old) => {
    const broken = breakOf(old, known.get(old.name));
    return broken !== undefined && wasCalled(old.name) ? [broken] : [];
  });
}

function breakOf(old: EndpointDescription, now: EndpointDescription | undefined): string | undefined {
  if (!now) return `${old.name} is gone`;
  if (now.stream !== old.stream) {
    return `${old.name} ${now.stream ? "replies" : "no longer replies"} in parts`;
  }
  const narrower = old.input && now.input ? narrowing(old.input, now.input, "") : undefined;
  return narrower === undefined ? undefined : `${old.name} takes less: ${narrower}`;
}

/** What `now` refuses that `old` took, in words; undefined when nothing of the kind is found. */
function narrowing(old: Schema, now: Schema, path: string): string | undefined {
  const at = path === "" ? "its input" : path;
  const required = names(now.required).find((name) => !names(old.required).includes(name));
  if (required !== undefined) return `${at} needs ${required}`;
  const [types, typesNow] = [typesOf(old.type), typesOf(now.type)];
  const refused = types?.find((type) => typesNow !== undefined && !isTaken(type, typesNow));
  if (refused !== undefined) return `${at} may no longer be ${refused}`;
  const choices = Array.isArray(now.enum) ? now.enum.map((each) => JSON.stringify(each)) : undefined;
  const dropped = Array.isArray(old.enum) && choices
    ? old.enum.map((each) => JSON.stringify(each)).find((each) => !choices.includes(each))
    : undefined;
  if (dropped !== undefined) return `${at} may no longer be ${dropped}`;
  return tighterBound(old, now, at) ?? narrowerParts(old, now, path);
}

function tighterBound(old: Schema, now: Schema, at: string): string | undefined {
  for (const key of ["maximum", "maxLength", "maxItems", "minimum", "minLength", "minItems"]) {
    const limit = now[key];
    if (typeof limit !== "number") continue;
    const loose = key.startsWith("max") ? Infinity : -Infinity;
    const before = typeof old[key] === "number" ? old[key] as number : loose;
    if (key.startsWith("max") ? limit < before : limit > before) return `${at} has ${key} ${limit}`;
  }
  return undefined;
}

function narrowerParts(old: Schema, now: Schema, path: string): string | undefined {
  const [before, after] = [schemas(old.properties), schemas(now.properties)];
  for (const [name, schema] of Object.entries(before)) {
    const inner = path === "" ? name : `${path}.${name}`;
    const same = after[name];
    if (same === undefined && now.additionalProperties === false) return `${inner} is not taken any more`;
    const narrower = same === undefined ? undefined : narrowing(schema, same, inner);
    if (narrower !== undefined) return narrower;
  }
  const [items, itemsNow] = [schemas({ items: old.items }).items, schemas({ items: now.items }).items];
  return items && itemsNow ? narrowing(items, itemsNow, `${path}[]`) : undefined;
}

function names(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function typesOf(value: unknown): string[] | undefined {
  return typeof value === "string" ? [value] : Array.isArray(value) ? value.map(String) : undefined;
}

function isTaken(type: string, by: string[]): boolean {
  return by.includes(type) || (type === "integer" && by.includes("number"));
}

/** Those of an object's values that are schemas. */
function schemas(value: unknown): Record<string, Schema> {
  if (typeof value !== "object" || value === null) return {};
  const entries = Object.entries(value).filter(([, each]) =>
    typeof each === "object" && each !== null && !Array.isArray(each)
  );
  return Object.fromEntries(entries) as Record<string, Schema>;
}

/**
 * What user code threw, in the user's words: file names are the user's own, lines and columns hold because types are
 * stripped in place, frames of the runtime and of Sqwish are left out, and no path of the agent's machine leaks.
 * A refused permission says what to list. Anything can be thrown, so nothing about it is believed: reading it never
 * throws, and no chain of causes is followed for ever.
 */
import type { ModuleFile } from "../protocol/messages.ts";
import { cut } from "../words.ts";
import { messageCharsMax } from "./error_frame.ts";

export interface UserError {
  /** `TypeError`; for what is no error, its type. */
  name: string;
  message: string;
  /** `at resize (modules/resize.ts:3:9)`, one frame per line; empty when nothing of it is the user's. */
  stack: string;
}

const stackCharsMax = 8192;
/** What is looked at to find the words; a message may have megabytes. */
const searchedCharsMax = 2 * messageCharsMax;
const nameCharsMax = 200;
const causesMax = 8;

export interface UserErrorReader {
  /** Never throws. */
  read(thrown: unknown): UserError;
}

/** `folderUrl` is the `file:` URL of the replica's folder, ending with "/". */
export function createUserErrorReader(folderUrl: string, modules: ModuleFile[]): UserErrorReader {
  const sources = new Map(modules.map((module) => [module.path, module.source]));
  const folderPath = decodeURIComponent(new URL(folderUrl).pathname);

  function ownNames(text: string): string {
    for (const prefix of [folderUrl, folderPath]) {
      text = text.split(prefix).map((piece, index) => index === 0 ? piece : ownName(piece)).join("");
    }
    return text;
  }

  /** `lib/scale.js:3:9)…` → `modules/lib/scale.ts:3:9)…`. */
  function ownName(text: string): string {
    const path = /^[^\s"'():]+/.exec(text)?.[0] ?? "";
    const source = sources.get(decodePath(path));
    return source === undefined ? text : source + text.slice(path.length);
  }

  function messageOf(thrown: unknown): string {
    if (!isError(thrown)) return cut(`threw ${show(thrown)}`, messageCharsMax);
    const words = show(property(thrown, "message") ?? "") || show(property(thrown, "name"));
    return cut(ownNames(hint(cut(words, searchedCharsMax))), messageCharsMax);
  }

  function stackOf(thrown: Error): string {
    const lines = show(property(thrown, "stack") ?? "").split("\n")
      .filter((line) => /^\s+at /.test(line) && line.includes(folderUrl))
      .map((line) => ownNames(line.trim()));
    return cut(lines.join("\n") + causesOf(thrown), stackCharsMax);
  }

  function causesOf(thrown: Error): string {
    let lines = "";
    const seen = new Set<unknown>([thrown]);
    for (
      let cause = property(thrown, "cause");
      cause !== undefined && !seen.has(cause) && seen.size <= causesMax;
      cause = isError(cause) ? property(cause, "cause") : undefined
    ) {
      seen.add(cause);
      lines += `\ncaused by: ${messageOf(cause)}`;
    }
    return lines;
  }

  function read(thrown: unknown): UserError {
    const isOne = isError(thrown);
    return {
      name: isOne ? cut(show(property(thrown, "name")), nameCharsMax) : typeof thrown,
      message: messageOf(thrown),
      stack: isOne ? stackOf(thrown) : "",
    };
  }
  return { read };
}

/** False also for what can't be looked at, such as a revoked Proxy. */
function isError(thrown: unknown): thrown is Error {
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}

/** Undefined when its getter throws. */
function property(thrown: Error, name: "name" | "message" | "stack" | "cause"): unknown {
  try {
    return thrown[name];
  } catch {
    return undefined;
  }
}

function show(value: unknown): string {
  if (typeof value === "string") return value;
  for (const write of [() => JSON.stringify(value) ?? String(value), () => String(value)]) {
    try {
      return write();
    } catch {
      // A cycle, a BigInt, or a `toJSON` or `toString` that throws itself.
    }
  }
  return "something that can't be put into words";
}

/** As it is when its "%" are no escapes. */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Says what to do about what a module may not do. */
function hint(message: string): string {
  const refused = /Requires (\w+) access(?: to (.+?))?(?:, (?:run again|specify) .*)?$/s.exec(message);
  if (refused) {
    const [, kind, what] = refused;
    if (what === undefined && kind !== "run") {
      return `${kind} access to everything is not allowed: list what is needed under permissions.${kind}`;
    }
    if (kind === "net" || kind === "read" || kind === "write" || kind === "env") {
      const entry = what.replace(/^<|>$/g, "");
      const quoted = entry.startsWith('"') ? entry : JSON.stringify(entry);
      return `${kind} access to ${quoted} is not allowed: list it as permissions.${kind}: [${quoted}]`;
    }
    return `${kind} access is not allowed in a module`;
  }
  if (
    /Relative import path|Could not find constraint|Unsupported scheme|npm:|jsr:|in the list of packages|for package "/
      .test(message)
  ) {
    const wanted = /["']([^"']+)["']/.exec(message)?.[1];
    return `import of ${wanted ? JSON.stringify(wanted) : "a package"} is not possible in a module: ` +
      "bundle it first with `deno bundle`";
  }
  return message;
}

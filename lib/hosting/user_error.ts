/**
 * What user code threw, in the user's words: file names are the user's own, lines and columns hold because types are
 * stripped in place, frames of the runtime and of Sqwish are left out, and no path of the agent's machine leaks.
 * A refused permission says what to list.
 */
import type { ModuleFile } from "../protocol/messages.ts";

export interface UserError {
  message: string;
  /** `at resize (modules/resize.ts:3:9)`, one frame per line; empty when nothing of it is the user's. */
  stack: string;
}

const messageCharsMax = 4096;
const stackCharsMax = 8192;

export interface UserErrorReader {
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
    const source = sources.get(decodeURIComponent(path));
    return source === undefined ? text : source + text.slice(path.length);
  }

  function read(thrown: unknown): UserError {
    if (!(thrown instanceof Error)) {
      return { message: cut(`threw ${show(thrown)}`, messageCharsMax), stack: "" };
    }
    const message = ownNames(hint(thrown.message || thrown.name));
    const frames = String(thrown.stack ?? "").split("\n")
      .filter((line) => /^\s+at /.test(line) && line.includes(folderUrl));
    const cause = thrown.cause === undefined ? "" : `\ncaused by: ${read(thrown.cause).message}`;
    return {
      message: cut(message, messageCharsMax),
      stack: cut(frames.map((line) => ownNames(line.trim())).join("\n") + cause, stackCharsMax),
    };
  }
  return { read };
}

function show(value: unknown): string {
  try {
    return typeof value === "string" ? value : JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function cut(text: string, charsMax: number): string {
  return text.length > charsMax ? text.slice(0, charsMax) + "…" : text;
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

/**
 * The first sentence of each exported function's docstring, for people who look for an endpoint.
 * Works on the source text: a doc comment directly before a declaration belongs to its name.
 */
import type { ModuleFile } from "../protocol/messages.ts";

const docstring =
  /\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:async\s+)?(?:function\s*\*?|const|let|var)\s*([\p{ID_Start}$_][\p{ID_Continue}$]*)?/gu;

const descriptionCharactersMax = 300;

/** By function name; a default export without a name is `default`. Undefined when no exported name has one. */
export function readDocstrings(source: string, exported: Iterable<string>): ModuleFile["docs"] {
  const wanted = new Set(exported);
  const docs: Record<string, string> = {};
  for (const [, comment, name = "default"] of source.matchAll(docstring)) {
    const sentence = firstSentence(comment);
    if (wanted.has(name) && sentence !== "" && !Object.hasOwn(docs, name)) docs[name] = sentence;
  }
  return Object.keys(docs).length > 0 ? docs : undefined;
}

/** Up to the first full stop before a space, an empty line or a tag; a lone tag has no sentence. */
export function firstSentence(comment: string): string {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\*? ?/, "").trim());
  const start = lines.findIndex((line) => line !== "");
  if (start < 0) return "";
  const rest = lines.slice(start);
  const end = rest.findIndex((line) => line === "" || line.startsWith("@"));
  const paragraph = (end < 0 ? rest : rest.slice(0, end)).join(" ").trim();
  const sentence = /^.*?[.!?](?=\s+\p{Lu})/u.exec(paragraph)?.[0] ?? paragraph;
  return sentence.length > descriptionCharactersMax
    ? `${sentence.slice(0, descriptionCharactersMax - 1)}…`
    : sentence;
}

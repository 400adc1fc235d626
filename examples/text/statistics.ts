/**
 * The replicaSet `text`: what can be counted in a text as long as a book. Input is the text's own bytes (UTF-8) or
 * `{"text": "…"}`. One file for each concern: words, sentences, and the endpoints here.
 */
import type { Context } from "sqwish";
import { readingEase, sentences } from "./sentences.ts";
import { countWords, syllables, words } from "./words.ts";

type TextInput = Uint8Array | { text: string };

export interface Statistics {
  characters: number;
  words: number;
  differentWords: number;
  sentences: number;
  /** Flesch reading ease: 100 is very easy, 0 very hard. */
  readingEase: number;
  topWords: { word: string; count: number }[];
}

/** Counts words and sentences, rates how easy the text reads, and names its most frequent words. */
export function statistics(input: TextInput): Statistics {
  return measure(textOf(input));
}

/** Yields the statistics of each chapter as soon as it is counted; a chapter starts at a line "# Title". */
export async function* chapters(
  input: TextInput,
  ctx: Context,
): AsyncGenerator<{ title: string } & Statistics> {
  for (const { title, text } of splitChapters(textOf(input))) {
    ctx.signal.throwIfAborted();
    yield { title, ...measure(text) };
  }
}

/** Counts twice, here and in the WebAssembly plug-in `wordcount/count`, and answers with both. */
export async function report(
  input: TextInput,
  ctx: Context,
): Promise<{ statistics: Statistics; plugin: { words: number; lines: number; bytes: number } }> {
  const text = textOf(input);
  const counted = await ctx.invoke<Uint8Array>("wordcount/count", new TextEncoder().encode(text));
  const plugin = JSON.parse(new TextDecoder().decode(counted));
  ctx.log.info("counted by the plug-in too", plugin);
  return { statistics: measure(text), plugin };
}

export const endpoints = {
  statistics: { idempotent: true },
  chapters: { idempotent: true },
  report: { idempotent: true },
};

function measure(text: string): Statistics {
  const all = words(text);
  const counts = countWords(all);
  const sentenceCount = sentences(text);
  const syllableCount = all.reduce((sum, word) => sum + syllables(word), 0);
  const topWords = [...counts]
    .sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1))
    .slice(0, 10)
    .map(([word, count]) => ({ word, count }));
  return {
    characters: text.length,
    words: all.length,
    differentWords: counts.size,
    sentences: sentenceCount,
    readingEase: readingEase(all.length, sentenceCount, syllableCount),
    topWords,
  };
}

/** Text before the first heading is a chapter too, without a title. */
function splitChapters(text: string): { title: string; text: string }[] {
  return text
    .split(/^(?=# )/m)
    .filter((part) => part.trim() !== "")
    .map((part) => {
      const heading = /^# (.*)\n?/.exec(part);
      return { title: heading?.[1].trim() ?? "", text: part.slice(heading?.[0].length ?? 0) };
    });
}

function textOf(input: TextInput): string {
  if (input instanceof Uint8Array) return new TextDecoder("utf-8", { fatal: true }).decode(input);
  if (typeof input?.text === "string") return input.text;
  throw new TypeError('The input must be a text\'s bytes or {"text": "…"}');
}

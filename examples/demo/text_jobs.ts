/**
 * Work for the replicaSets `text` and `wordcount`: a whole book and its chapters, counted again here letter by letter,
 * without the modules' regular expressions.
 */
import assert from "node:assert/strict";
import type { Statistics } from "../text/statistics.ts";
import type { Job } from "./job.ts";

const encoder = new TextEncoder();

/** The book as a whole, as a stream of chapters, and some chapters on their own. */
export function textJobs(book: { text: string; chapters: number }): Job[] {
  const bytes = encoder.encode(book.text);
  const parts = book.text.split(/^(?=# )/m);
  const some = parts.filter((_, index) => index % 12 === 0);
  return [
    { endpoint: "text/statistics", input: bytes, check: (reply) => checkStatistics(book.text, reply) },
    { endpoint: "text/chapters", input: bytes, stream: true, check: (reply) => checkChapters(parts, reply) },
    { endpoint: "wordcount/count", input: bytes, check: (reply) => checkCount(bytes, parsed(reply)) },
    ...some.map((text): Job => ({
      endpoint: "text/statistics",
      input: { text },
      check: (reply) => checkStatistics(text, reply),
    })),
    ...some.map((text): Job => ({
      endpoint: "text/report",
      input: { text },
      check: (reply) => checkReport(text, reply),
    })),
    ...some.map((text): Job => ({
      endpoint: "wordcount/count",
      input: encoder.encode(text),
      check: (reply) => checkCount(encoder.encode(text), parsed(reply)),
    })),
  ];
}

function checkStatistics(text: string, reply: unknown): void {
  const told = reply as Statistics;
  assert.equal(told.characters, text.length);
  assert.equal(told.words, countWords(text));
  const [top] = told.topWords;
  const pieces = text.toLowerCase().split(/[^\p{L}\p{N}'’-]+/u).filter((piece) => piece === top.word).length;
  // Splitting this way leaves quotation marks on words, so it finds a few less, never more.
  assert.ok(
    pieces > 0 && pieces <= top.count,
    `"${top.word}" must occur at least ${pieces} times, is ${top.count}`,
  );
}

function checkChapters(parts: string[], reply: unknown): void {
  const told = reply as ({ title: string } & Statistics)[];
  assert.equal(told.length, parts.length, "There must be one part for each chapter");
  for (const [index, part] of parts.entries()) {
    const end = part.indexOf("\n");
    assert.equal(told[index].title, part.slice(2, end));
    assert.equal(told[index].words, countWords(part.slice(end + 1)));
  }
}

function checkReport(text: string, reply: unknown): void {
  const told = reply as { statistics: Statistics; plugin: Record<string, number> };
  checkStatistics(text, told.statistics);
  checkCount(encoder.encode(text), told.plugin);
}

function checkCount(bytes: Uint8Array, told: Record<string, number>): void {
  const text = new TextDecoder().decode(bytes);
  const words = text.split(/[\t\n\v\f\r ]+/).filter((word) => word !== "").length;
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  assert.deepEqual(told, { words, lines, bytes: bytes.length });
}

function parsed(reply: unknown): Record<string, number> {
  assert.ok(reply instanceof Uint8Array, "A plug-in must answer with bytes");
  return JSON.parse(new TextDecoder().decode(reply));
}

/** Words letter by letter: a joiner counts as inside a word only between two letters. */
function countWords(text: string): number {
  const characters = [...text];
  const isLetter = (character: string | undefined) =>
    character !== undefined && /[\p{L}\p{N}]/u.test(character);
  let words = 0;
  let inside = false;
  for (const [index, character] of characters.entries()) {
    if (isLetter(character)) {
      if (!inside) words++;
      inside = true;
    } else {
      inside = inside && "'’-".includes(character) && isLetter(characters[index + 1]);
    }
  }
  return words;
}

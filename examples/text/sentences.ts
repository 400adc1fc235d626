/** Sentences of a text, and the reading score that is computed from their length. */

/** Ends of sentences: a stop, question or exclamation mark before white space or the end; at least 1 in any text. */
export function sentences(text: string): number {
  const ends = text.match(/[.!?]+["”’)\]]*(?=\s|$)/g)?.length ?? 0;
  return ends === 0 && /\S/.test(text) ? 1 : ends;
}

/**
 * Flesch reading ease (Rudolf Flesch, "A new readability yardstick", Journal of Applied Psychology 32, 1948),
 * to one decimal; 0 for an empty text.
 */
export function readingEase(words: number, sentences: number, syllables: number): number {
  if (words === 0 || sentences === 0) return 0;
  const score = 206.835 - 1.015 * (words / sentences) - 84.6 * (syllables / words);
  return Math.round(score * 10) / 10;
}

/** Words of a text: letters and digits in any script, with apostrophes and hyphens inside. */

/** Every word in order, in lower case. */
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? [];
}

/** How often each word occurs. A Map, because "constructor" is a word too. */
export function countWords(all: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of all) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

/**
 * Syllables of an English word, near enough for a reading score: groups of vowels, less a silent "e" at the end.
 * At least one.
 */
export function syllables(word: string): number {
  const spoken = word.replace(/[^aeiouy]e$/, (ending) => ending[0]);
  return Math.max(1, spoken.match(/[aeiouy]+/g)?.length ?? 0);
}

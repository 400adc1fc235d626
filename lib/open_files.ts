/** The system's limit on open files, as programs that open many must know it: pure, from the text of `/proc/self/limits`. */

/** The soft limit; undefined when there is none. */
export function parseOpenFilesMax(text: string): number | undefined {
  const found = /^Max open files\s+(\d+)/m.exec(text);
  return found ? Number(found[1]) : undefined;
}

/** Words for messages everywhere. Pure. */

/** `counted(1, "request")` is "1 request", `counted(2, "reply", "replies")` is "2 replies". */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}

/** The beginning of `text` when it is longer than `charsMax`. */
export function cut(text: string, charsMax: number): string {
  return text.length > charsMax ? text.slice(0, charsMax) + "…" : text;
}

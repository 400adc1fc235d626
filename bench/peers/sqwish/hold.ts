/** Never ends by itself, so that everything behind it stays in the queue. */
export function hold(): Promise<void> {
  return new Promise(() => {});
}

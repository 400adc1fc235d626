/** A request that stays until its caller gives up. */
export function hold(_input: unknown, context: { signal: AbortSignal }): Promise<void> {
  return new Promise((resolve) => context.signal.addEventListener("abort", () => resolve()));
}

/** Waits for real processes and sockets: polls a predicate until it holds or the bound is over. */

/**
 * Resolves with the first truthy value of `predicate`; rejects, naming `what`, after `boundMs`: long, as only a test that
 * fails waits for it, and a machine may be slow.
 */
export async function eventually<T>(
  what: string,
  predicate: () => T | Promise<T>,
  boundMs = 30_000,
): Promise<NonNullable<T>> {
  const endMs = performance.now() + boundMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await predicate();
      if (value) return value as NonNullable<T>;
      last = value;
    } catch (thrown) {
      last = thrown;
    }
    if (performance.now() > endMs) {
      throw new Error(`${what}: not within ${boundMs} ms (last: ${String(last)})`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

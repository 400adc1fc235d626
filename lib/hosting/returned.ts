/** What a function of a module may return besides a plain value: something to wait for, or the parts of a stream. */

/** A generator of either kind. */
export type Parts = AsyncIterator<unknown> | Iterator<unknown>;

/** Anything that can be awaited: query builders and the like are no promises, and must not be sent as they are. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}

/** Generators of either kind; arrays and strings are values. */
export function isParts(value: unknown): value is Parts {
  if (typeof value !== "object" || value === null) return false;
  const candidate = value as {
    next?: unknown;
    [Symbol.asyncIterator]?: unknown;
    [Symbol.iterator]?: unknown;
  };
  return typeof candidate.next === "function" &&
    (typeof candidate[Symbol.asyncIterator] === "function" ||
      typeof candidate[Symbol.iterator] === "function");
}

export function nextPart(parts: Parts): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
  return parts.next();
}

/** Ends it before its end; its `finally` runs. */
export function returnParts(parts: Parts): unknown {
  return parts.return?.();
}

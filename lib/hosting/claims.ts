/**
 * Which requests a runner has started. The agent numbers the requests it sends to one runner 1, 2, 3 …; the
 * Worker claims each before it runs it; the runner's main thread, which an endless loop in the Worker can't
 * stop, takes back those that are not claimed yet. One shared 32-bit word decides between the two, so a request
 * either runs here or is given back, never both. Numbers wrap; only distances below 2^31 matter.
 */

export type Claims = Int32Array<SharedArrayBuffer>;

export function createClaims(shared = new SharedArrayBuffer(4)): Claims {
  return new Int32Array(shared);
}

/** Worker: true when request `sequence` may run here. Must be called for every request, in order. */
export function claim(claims: Claims, sequence: number): boolean {
  const before = (sequence - 1) | 0;
  return Atomics.compareExchange(claims, 0, before, sequence | 0) === before;
}

/** Main thread: takes back all unclaimed requests up to `through`; returns the number of the last claimed one. */
export function revoke(claims: Claims, through: number): number {
  for (;;) {
    const claimed = Atomics.load(claims, 0);
    if (!isLater(through, claimed)) return claimed >>> 0;
    if (Atomics.compareExchange(claims, 0, claimed, through | 0) === claimed) return claimed >>> 0;
  }
}

/** True when number `a` comes after `b`. */
export function isLater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

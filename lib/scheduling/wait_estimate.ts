/**
 * Can a request still make its deadline, with what waits before it? Pure.
 * On the way: admission, before a request is queued → here. The invariant: what might be in time is let in. Waiting in
 * vain costs the manager a little memory; being refused in vain costs the caller the answer.
 */

/** What is known of one replica; a `Capacity` satisfies it. */
export interface ServiceFacts {
  readonly slots: number;
  /** Replies per ms when it had all that it can take; 0: not known. */
  readonly servedPerMs: number;
}

/** The replicas may be this much faster than they were lately, or as many of those ahead may give up. */
const optimism = 3;

/**
 * Ms until a request with `ahead` before it gets its turn, by Little's law (1961) at the rate that the replicas had
 * lately; 0 when some replica's rate is not known, since it may take all of them at once. `ahead` must not count what
 * comes after it: with fair queues that is the least of the queue's size, and of this client's own waiting times the
 * number of clients that wait.
 */
export function estimateWaitMs(ahead: number, replicas: Iterable<ServiceFacts>): number {
  let perMs = 0;
  for (const { slots, servedPerMs } of replicas) {
    if (slots === 0) continue;
    if (servedPerMs === 0) return 0;
    perMs += servedPerMs;
  }
  return perMs === 0 ? 0 : ahead / perMs;
}

/** True: even far better than expected, its turn comes too late. No replica at all is no reason, one may come. */
export function isHopeless(waitMs: number, remainingMs: number): boolean {
  return waitMs > optimism * remainingMs;
}

/**
 * What each revision did with the requests of each endpoint lately: what new revisions are judged by.
 * dispatcher's outcomes → here → `judge.ts`. Time passes only by `rotate()`; an arm covers the last one to two windows.
 * Invariant: what nobody calls keeps a few numbers and no window, for as long as it counts as called lately.
 */
import { limits } from "../limits.ts";
import { Histogram } from "../metrics/histogram.ts";
import { SparseCounts } from "../metrics/sparse_counts.ts";
import type { RequestOutcome } from "../request_outcome.ts";
import type { Arm } from "./judge.ts";

interface Window {
  requests: number;
  errors: number;
  latency: SparseCounts;
}

interface Counters {
  revision: number;
  /** Since the revision was first seen, or its counters were last forgotten. */
  total: number;
  /** At the end of the last window with a request; 0: not at the end of any yet. */
  lastCalledMs: number;
  /** null: no request. */
  now: Window | null;
  before: Window | null;
}

/** Ends that say nothing of the code that ran. */
const uncounted = new Set<string>([
  "cancelled",
  "queue_full",
  "no_ready_replica",
  "manager_lost",
  "forbidden",
  "not_found",
]);

export class Traffic {
  #endpoints = new Map<string, Counters[]>();
  #size = 0;
  /** Room was looked for in vain in this window. */
  #isFull = false;

  /** Counts one request. */
  observe(
    { endpoint, revision, code, runUs }: Pick<RequestOutcome, "endpoint" | "revision" | "code" | "runUs">,
  ): void {
    if (revision === 0 || uncounted.has(code)) return;
    const counters = this.#find(endpoint, revision) ?? this.#add(endpoint, revision);
    if (!counters) return;
    const window = counters.now ??= { requests: 0, errors: 0, latency: new SparseCounts() };
    counters.total++;
    window.requests++;
    if (code === "ok") window.latency.observe(runUs);
    else window.errors++;
  }

  /** What a revision did with an endpoint's requests, and how many it has had in all. */
  arm(endpoint: string, revision: number): { arm: Arm; total: number } {
    const counters = this.#find(endpoint, revision);
    const arm = { requests: 0, errors: 0, latency: new Histogram() };
    for (const part of [counters?.before, counters?.now]) {
      if (!part) continue;
      arm.requests += part.requests;
      arm.errors += part.errors;
      part.latency.addTo(arm.latency);
    }
    return { arm, total: counters?.total ?? 0 };
  }

  /** How many requests a revision has had of an endpoint: in the arm, and in all. */
  requests(endpoint: string, revision: number): { inArm: number; total: number } {
    const counters = this.#find(endpoint, revision);
    if (!counters) return { inArm: 0, total: 0 };
    const { before, now, total } = counters;
    return { inArm: (before?.requests ?? 0) + (now?.requests ?? 0), total };
  }

  /** Forgets what a revision did: it starts anew. That its endpoints are called is not forgotten. */
  forget(replicaSet: string, revision: number, nowMs: number): void {
    for (const [endpoint, list] of this.#endpoints) {
      if (!endpoint.startsWith(`${replicaSet}/`)) continue;
      for (const counters of list) {
        if (counters.revision !== revision) continue;
        if (counters.now) counters.lastCalledMs = nowMs;
        counters.total = 0;
        counters.now = counters.before = null;
      }
    }
  }

  /** When an endpoint was last called, as far as is known, at the end of a window at the latest. */
  lastCalledMs(endpoint: string, nowMs: number): number | undefined {
    const list = this.#endpoints.get(endpoint);
    if (!list) return undefined;
    return list.some(({ now }) => now !== null)
      ? nowMs
      : Math.max(...list.map(({ lastCalledMs }) => lastCalledMs));
  }

  /** Once every `limits.trafficWindowMs`: a new window begins. */
  rotate(nowMs: number): void {
    this.#isFull = false;
    for (const [endpoint, list] of this.#endpoints) {
      for (const counters of list) {
        if (counters.now) counters.lastCalledMs = nowMs;
        counters.before = counters.now;
        counters.now = null;
      }
      this.#keep(
        endpoint,
        list,
        ({ before, lastCalledMs }) => before !== null || nowMs - lastCalledMs <= limits.calledLatelyMs,
      );
    }
  }

  #keep(endpoint: string, list: Counters[], isKept: (counters: Counters) => boolean): void {
    const kept = list.filter(isKept);
    this.#size -= list.length - kept.length;
    if (kept.length > 0) this.#endpoints.set(endpoint, kept);
    else this.#endpoints.delete(endpoint);
  }

  #find(endpoint: string, revision: number): Counters | undefined {
    const list = this.#endpoints.get(endpoint);
    if (!list) return undefined;
    for (const counters of list) if (counters.revision === revision) return counters;
    return undefined;
  }

  #add(endpoint: string, revision: number): Counters | undefined {
    if (this.#size >= limits.trafficEndpointsMax && !this.#makeRoom()) return undefined;
    const counters = { revision, total: 0, lastCalledMs: 0, now: null, before: null };
    const list = this.#endpoints.get(endpoint);
    if (list) list.push(counters);
    else this.#endpoints.set(endpoint, [counters]);
    this.#size++;
    return counters;
  }

  /** Drops all that was silent for two windows; whether there was any. Looked for once a window. */
  #makeRoom(): boolean {
    if (this.#isFull) return false;
    for (const [endpoint, list] of this.#endpoints) {
      this.#keep(endpoint, list, ({ now, before }) => now !== null || before !== null);
    }
    this.#isFull = this.#size >= limits.trafficEndpointsMax;
    return !this.#isFull;
  }
}

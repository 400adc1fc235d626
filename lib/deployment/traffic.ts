/**
 * What each revision did with the requests of each endpoint lately: what new revisions are judged by.
 * dispatcher's outcomes → here → `judge.ts`. Time passes only by `rotate()`; an arm covers the last one to two windows.
 */
import { limits } from "../limits.ts";
import { Histogram } from "../metrics/histogram.ts";
import type { RequestOutcome } from "../request_outcome.ts";
import type { Arm } from "./judge.ts";

interface Counters {
  revision: number;
  /** Since the revision was first seen, or its counters were last forgotten. */
  total: number;
  now: Arm;
  before: Arm;
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
  #lastCalledMs = new Map<string, number>();
  #size = 0;

  /** Counts one request. */
  observe(
    { endpoint, revision, code, runUs }: Pick<RequestOutcome, "endpoint" | "revision" | "code" | "runUs">,
  ): void {
    if (revision === 0 || uncounted.has(code)) return;
    const counters = this.#find(endpoint, revision) ?? this.#add(endpoint, revision);
    if (!counters) return;
    const arm = counters.now;
    counters.total++;
    arm.requests++;
    if (code === "ok") arm.latency.observe(runUs);
    else arm.errors++;
  }

  /** What a revision did with an endpoint's requests, and how many it has had in all. */
  arm(endpoint: string, revision: number): { arm: Arm; total: number } {
    const counters = this.#find(endpoint, revision);
    const arm = emptyArm();
    if (!counters) return { arm, total: 0 };
    for (const part of [counters.before, counters.now]) {
      arm.requests += part.requests;
      arm.errors += part.errors;
      arm.latency.merge(part.latency);
    }
    return { arm, total: counters.total };
  }

  /** How many requests a revision has had of an endpoint: in the arm, and in all. */
  requests(endpoint: string, revision: number): { inArm: number; total: number } {
    const counters = this.#find(endpoint, revision);
    if (!counters) return { inArm: 0, total: 0 };
    return { inArm: counters.before.requests + counters.now.requests, total: counters.total };
  }

  /** Forgets what a revision did: it starts anew. */
  forget(replicaSet: string, revision: number): void {
    for (const [endpoint, list] of this.#endpoints) {
      if (endpoint.startsWith(`${replicaSet}/`)) {
        this.#keep(endpoint, list, (each) => each.revision !== revision);
      }
    }
  }

  /** When an endpoint was last called, as far as is known, at the end of a window at the latest. */
  lastCalledMs(endpoint: string, nowMs: number): number | undefined {
    const isCalled = this.#endpoints.get(endpoint)?.some(({ now }) => now.requests > 0);
    return isCalled ? nowMs : this.#lastCalledMs.get(endpoint);
  }

  /** Once every `limits.trafficWindowMs`: a new window begins. */
  rotate(nowMs: number): void {
    for (const [endpoint, list] of this.#endpoints) {
      if (list.some(({ now }) => now.requests > 0)) this.#lastCalledMs.set(endpoint, nowMs);
      for (const counters of list) {
        counters.before = counters.now;
        counters.now = emptyArm();
      }
      this.#keep(endpoint, list, ({ before }) => before.requests > 0);
    }
    for (const [endpoint, atMs] of this.#lastCalledMs) {
      if (nowMs - atMs > limits.calledLatelyMs) this.#lastCalledMs.delete(endpoint);
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
    if (this.#size >= limits.trafficEndpointsMax) return undefined;
    const counters = { revision, total: 0, now: emptyArm(), before: emptyArm() };
    const list = this.#endpoints.get(endpoint);
    if (list) list.push(counters);
    else this.#endpoints.set(endpoint, [counters]);
    this.#size++;
    return counters;
  }
}

function emptyArm(): Arm {
  return { requests: 0, errors: 0, latency: new Histogram() };
}

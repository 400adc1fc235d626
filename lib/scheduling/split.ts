/**
 * Which replica is next where two revisions share an endpoint's requests by weight (a canary)? On the way: queue or
 * admission → here → `policy`. The share is kept over the run, not drawn for each request: whoever is behind is asked
 * first. A group without a free slot leaves its turn to the other, so that no slot is free while something waits; what
 * is missed is made up for later. Replicas on damped agents are asked last, but before a revision whose share is none.
 */
import type { Random } from "../random.ts";
import { choose } from "./policy.ts";
import type { Replica } from "./state.ts";

/** Older requests count half after this many, so that a share that could not be kept is made up for within bounds. */
const rememberedMax = 1000;

export class Split {
  /** Groups in the order in which they are asked, for each of the two turns. */
  readonly #freshFirst: readonly (readonly Replica[])[];
  readonly #othersFirst: readonly (readonly Replica[])[];
  /** There is nothing to share out. */
  readonly #isWhole: boolean;
  #sent = 0;
  #sentFresh = 0;

  /** `share`: of the requests, 0 to 1, for the replicas of `revision`. */
  constructor(readonly revision: number, readonly share: number, replicas: readonly Replica[]) {
    const group = (isFresh: boolean, damped: boolean) =>
      replicas.filter((replica) => (replica.revision === revision) === isFresh && replica.damped === damped);
    const [fresh, dampedFresh] = [group(true, false), group(true, true)];
    const [others, dampedOthers] = [group(false, false), group(false, true)];
    this.#isWhole = fresh.length + dampedFresh.length === 0 || others.length + dampedOthers.length === 0;
    this.#freshFirst = [fresh, others, dampedFresh, dampedOthers];
    this.#othersFirst = share > 0
      ? [others, fresh, dampedOthers, dampedFresh]
      : [others, dampedOthers, fresh, dampedFresh];
  }

  /** Goes on with what an equal split has counted. */
  follow(before: Split | null | undefined): void {
    if (before?.revision !== this.revision || before.share !== this.share) return;
    this.#sent = before.#sent;
    this.#sentFresh = before.#sentFresh;
  }

  choose(nowMs: number, random: Random, isNested = false): Replica | null {
    const isBehind = this.#sentFresh + 1 <= this.share * (this.#sent + 1);
    for (const group of isBehind ? this.#freshFirst : this.#othersFirst) {
      const chosen = choose(group, nowMs, random, isNested);
      if (chosen === null) continue;
      if (!this.#isWhole) this.#count(chosen.revision === this.revision);
      return chosen;
    }
    return null;
  }

  #count(isFresh: boolean): void {
    this.#sent++;
    if (isFresh) this.#sentFresh++;
    if (this.#sent < rememberedMax) return;
    this.#sent /= 2;
    this.#sentFresh /= 2;
  }
}

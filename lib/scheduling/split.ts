/**
 * Which replica is next where two revisions share an endpoint's requests by weight (a canary)? On the way: queue or
 * admission → here → `policy`. The share is kept over the run, not drawn for each request: whoever is behind is asked
 * first. A group without a free slot leaves its turn to the other, so that no slot is free while something waits; what
 * is missed is made up for later.
 */
import type { Random } from "../random.ts";
import { choose } from "./policy.ts";
import type { Replica } from "./state.ts";

/** Older requests count half after this many, so that a share that could not be kept is made up for within bounds. */
const rememberedMax = 1000;

export class Split {
  readonly #all: readonly Replica[];
  readonly #fresh: readonly Replica[];
  readonly #others: readonly Replica[];
  #sent = 0;
  #sentFresh = 0;

  /** `share`: of the requests, 0 to 1, for the replicas of `revision`. */
  constructor(readonly revision: number, readonly share: number, replicas: readonly Replica[]) {
    this.#all = replicas;
    this.#fresh = replicas.filter((replica) => replica.revision === revision);
    this.#others = replicas.filter((replica) => replica.revision !== revision);
  }

  /** Goes on with what an equal split has counted. */
  follow(before: Split | null | undefined): void {
    if (before?.revision !== this.revision || before.share !== this.share) return;
    this.#sent = before.#sent;
    this.#sentFresh = before.#sentFresh;
  }

  choose(nowMs: number, random: Random): Replica | null {
    const fresh = this.#fresh;
    const others = this.#others;
    if (fresh.length === 0 || others.length === 0) return choose(this.#all, nowMs, random);
    const isBehind = this.#sentFresh + 1 <= this.share * (this.#sent + 1);
    const [first, second] = isBehind ? [fresh, others] : [others, fresh];
    const chosen = choose(first, nowMs, random) ?? choose(second, nowMs, random);
    if (chosen) this.#count(chosen.revision === this.revision);
    return chosen;
  }

  #count(isFresh: boolean): void {
    this.#sent++;
    if (isFresh) this.#sentFresh++;
    if (this.#sent < rememberedMax) return;
    this.#sent /= 2;
    this.#sentFresh /= 2;
  }
}

/**
 * The numbers by which agents know what they were told to run: one for each revision on each agent, a new one when it is
 * given there anew. On the way: `controller` → `desired` → an agent's reports, which are believed by it.
 */
import type { Assignment, Assignments } from "../deployment/facts.ts";

/** Handles by revision. */
type OfSet = Map<number, number>;

export class Handles {
  /** By agent and set: no key has to be put together for a look-up, which each step makes for each replica. */
  readonly #byAgent = new Map<string, Map<string, OfSet>>();
  #next = 1;

  find(agent: string, { replicaSet, revision }: Assignment): number | undefined {
    return this.#byAgent.get(agent)?.get(replicaSet)?.get(revision);
  }

  give(agent: string, assignment: Assignment): number {
    const known = this.find(agent, assignment);
    if (known !== undefined) return known;
    const { replicaSet, revision } = assignment;
    let sets = this.#byAgent.get(agent);
    if (!sets) this.#byAgent.set(agent, sets = new Map());
    let revisions = sets.get(replicaSet);
    if (!revisions) sets.set(replicaSet, revisions = new Map());
    revisions.set(revision, this.#next);
    return this.#next++;
  }

  /** Drops all others. */
  keep(assignments: Assignments): void {
    for (const [agent, sets] of this.#byAgent) {
      const wanted = new Set(
        assignments.get(agent)?.map(({ replicaSet, revision }) => `${replicaSet} ${revision}`),
      );
      for (const [replicaSet, revisions] of sets) {
        for (const revision of revisions.keys()) {
          if (!wanted.has(`${replicaSet} ${revision}`)) revisions.delete(revision);
        }
        if (revisions.size === 0) sets.delete(replicaSet);
      }
      if (sets.size === 0) this.#byAgent.delete(agent);
    }
  }
}

/**
 * What replicas ask of their agents, and what is left there for one more. Pure; one ledger per step.
 * Of one set only the largest replica on an agent counts: a new revision takes the place of the old one beside it.
 */
import type { AgentFacts } from "./facts.ts";
import type { Needs, Room, RoomOn } from "./placement.ts";

const MiB = 1024 * 1024;

export class Ledger {
  /** By agent, then by set. */
  #used = new Map<string, Map<string, Room>>();

  /** Counts a replica of `replicaSet` on `agent`. */
  add(agent: string, replicaSet: string, needs: Needs): void {
    let sets = this.#used.get(agent);
    if (!sets) this.#used.set(agent, sets = new Map());
    const known = sets.get(replicaSet) ?? { memoryBytes: 0, cores: 0 };
    sets.set(replicaSet, {
      memoryBytes: Math.max(known.memoryBytes, needs.memoryMb * MiB),
      cores: Math.max(known.cores, needs.cores ?? 0),
    });
  }

  /**
   * What is left for `replicaSet`. Where it already runs it has at least what it holds now: an agent that is asked for
   * more than it has, since its memory shrank for instance, keeps what it runs and can be given a new revision of it.
   */
  roomFor(replicaSet: string): RoomOn {
    return (agent: AgentFacts) => {
      const own = this.#used.get(agent.name)?.get(replicaSet) ?? { memoryBytes: 0, cores: 0 };
      let memoryBytes = agent.memoryBytes > 0 ? agent.memoryBytes : Infinity;
      let cores = agent.cores;
      for (const [name, used] of this.#used.get(agent.name) ?? []) {
        if (name === replicaSet) continue;
        memoryBytes -= used.memoryBytes;
        cores -= used.cores;
      }
      return { memoryBytes: Math.max(own.memoryBytes, memoryBytes), cores: Math.max(own.cores, cores) };
    };
  }
}

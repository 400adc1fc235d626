/** What modules printed lately: a bounded ring per replicaSet, in memory. */
import { limits } from "../limits.ts";
import type { LogLine } from "../protocol/messages.ts";

export type StoredLine = LogLine & { id: number; agent: string };

export class ModuleLogs {
  #rings = new Map<string, StoredLine[]>();
  #lastId = 0;

  /** Keeps the lines; those of sets that `exists` denies are dropped. */
  push(agent: string, lines: readonly LogLine[], exists: (set: string) => boolean): void {
    for (const line of lines) {
      if (!exists(line.replicaSet)) continue;
      let ring = this.#rings.get(line.replicaSet);
      if (!ring) this.#rings.set(line.replicaSet, ring = []);
      ring.push({ ...line, text: line.text.slice(0, limits.logLineBytesMax), id: ++this.#lastId, agent });
      if (ring.length > 2 * limits.logLinesKept) ring.splice(0, ring.length - limits.logLinesKept);
    }
  }

  /** The newest lines of a set after `afterId`, oldest first. */
  list(replicaSet: string, query: { afterId?: number; agent?: string; limit: number }): StoredLine[] {
    const after = query.afterId ?? 0;
    const lines = (this.#rings.get(replicaSet) ?? []).filter((line) =>
      line.id > after && (query.agent === undefined || line.agent === query.agent)
    );
    return lines.slice(-query.limit);
  }

  forget(replicaSet: string): void {
    this.#rings.delete(replicaSet);
  }
}

/** What modules printed lately: a bounded ring per replicaSet, in memory. */
import { limits } from "../limits.ts";
import type { LogLine } from "../protocol/messages.ts";

export type StoredLine = LogLine & { id: number; agent: string };

interface Ring {
  lines: StoredLine[];
  characters: number;
}

/** What one replicaSet's lines may take, however long they are. */
const charactersKept = 1024 * 1024;

export class ModuleLogs {
  #rings = new Map<string, Ring>();
  #lastId = 0;

  /** Keeps the lines; those of sets that `exists` denies are dropped. */
  push(agent: string, lines: readonly LogLine[], exists: (set: string) => boolean): void {
    for (const line of lines) {
      if (!exists(line.replicaSet)) continue;
      const ring = this.#rings.get(line.replicaSet) ?? this.#addRing(line.replicaSet, exists);
      const text = line.text.slice(0, limits.logLineBytesMax);
      ring.lines.push({ ...line, text, id: ++this.#lastId, agent });
      ring.characters += text.length;
      if (ring.lines.length > 2 * limits.logLinesKept || ring.characters > 2 * charactersKept) trim(ring);
    }
  }

  /** A set's lines, oldest first: those next after `afterId`, so that a reader who follows misses none; else the newest. */
  list(replicaSet: string, query: { afterId?: number; agent?: string; limit: number }): StoredLine[] {
    const { afterId = 0, agent, limit } = query;
    const lines = (this.#rings.get(replicaSet)?.lines ?? []).filter((line) =>
      line.id > afterId && (agent === undefined || line.agent === agent)
    );
    return afterId === 0 ? lines.slice(Math.max(0, lines.length - limit)) : lines.slice(0, limit);
  }

  /** Sets come and go; whoever adds one clears away what is left of those that went. */
  #addRing(replicaSet: string, exists: (set: string) => boolean): Ring {
    for (const name of this.#rings.keys()) if (!exists(name)) this.#rings.delete(name);
    const ring: Ring = { lines: [], characters: 0 };
    this.#rings.set(replicaSet, ring);
    return ring;
  }
}

/** Drops the oldest lines, half of all or more, so that it happens seldom. */
function trim(ring: Ring): void {
  let from = Math.max(0, ring.lines.length - limits.logLinesKept);
  let characters = 0;
  for (let index = ring.lines.length - 1; index >= from; index--) {
    characters += ring.lines[index].text.length;
    if (characters > charactersKept) from = index + 1;
  }
  ring.lines.splice(0, from);
  ring.characters = ring.lines.reduce((sum, { text }) => sum + text.length, 0);
}

/**
 * What modules printed lately: a bounded ring per replicaSet, in memory and, at most once a minute, on the disk.
 * From agents' `logs` messages → here → `/v1/logs` and the store. What is printed and gone within a minute never
 * reaches the disk, and of the rest no more than an SD card can bear: the newest, fairly shared between the sets.
 */
import { limits } from "../limits.ts";
import { logLevels } from "../log.ts";
import type { LogLine } from "../protocol/messages.ts";
import type { LogLineView, LogsView } from "../protocol/views.ts";

export interface LogStorage {
  loadAll(): LogLineView[];
  write(lines: readonly LogLineView[]): void;
  /** Of sets that are gone. */
  remove(replicaSets: readonly string[]): void;
}

export interface LogQuery {
  /** Those next after it, oldest first; missing or 0: the newest. */
  afterId?: number;
  agent?: string;
  revision?: number;
  sinceMs?: number;
  /** At least so grave. */
  level?: LogLine["level"];
  requestId?: string;
  /** Within the line's text, whatever the case. */
  contains?: string;
  limit: number;
}

interface Ring {
  lines: LogLineView[];
  characters: number;
  /** Of the lines those that are not on the disk. */
  unstored: LogLineView[];
}

/** What one replicaSet's lines may take, however long they are. */
const charactersKept = 1024 * 1024;
/** What a line takes of the disk beside its text. */
const lineBytes = 150;
/** Numbers of lines grow over restarts, also past those lines that were lost before they were stored. */
const linesPerStart = 1_000_000_000;

export class ModuleLogs {
  readonly #storage: LogStorage;
  #rings = new Map<string, Ring>();
  /** Sets whose lines are still stored and shall not be. */
  #gone = new Set<string>();
  #lastId = 0;
  /** What may be written now; see `flush()`. */
  #allowanceBytes: number = limits.logStoredBytesAtOnce;

  /** `bootEpoch`: the number of this start. */
  constructor(storage: LogStorage, bootEpoch: number) {
    this.#storage = storage;
    for (const line of storage.loadAll()) {
      this.#add(this.#rings.get(line.replicaSet) ?? this.#addRing(line.replicaSet), line);
      this.#lastId = line.id;
    }
    for (const ring of this.#rings.values()) ring.unstored = [];
    this.#lastId = Math.max(this.#lastId, bootEpoch * linesPerStart);
  }

  /** Keeps the lines; those of sets that `exists` denies are dropped. */
  push(agent: string, lines: readonly LogLine[], exists: (set: string) => boolean): void {
    for (const line of lines) {
      if (!exists(line.replicaSet)) continue;
      const ring = this.#rings.get(line.replicaSet) ?? this.#makeRing(line.replicaSet, exists);
      const text = line.text.slice(0, limits.logLineBytesMax);
      this.#add(ring, { ...line, text, id: ++this.#lastId, agent });
    }
  }

  /**
   * A set's lines that match, in the order they came: those next after `afterId`, so that a reader who follows misses
   * none; else the newest. `lastId` is how far that reader has come, also when nothing matched.
   */
  list(replicaSet: string, query: LogQuery): LogsView {
    const { afterId = 0, limit } = query;
    const matching = (this.#rings.get(replicaSet)?.lines ?? []).filter((line) => matches(line, query));
    if (afterId === 0) {
      return { lines: matching.slice(Math.max(0, matching.length - limit)), lastId: this.#lastId };
    }
    const lines = matching.slice(0, limit);
    return { lines, lastId: lines.length < matching.length ? lines.at(-1)?.id ?? afterId : this.#lastId };
  }

  /**
   * Writes what is new in one transaction, once a minute; nothing when nothing is. Of more than the disk is to take in a
   * minute only the newest, and the rest later, as far as it is still there. `all`: whatever it takes, for the
   * manager's end. What the storage throws passes through.
   */
  flush(all = false): void {
    if (this.#gone.size > 0) this.#storage.remove([...this.#gone]);
    this.#gone.clear();
    const { logStoredBytesPerMinute, logStoredBytesAtOnce } = limits;
    this.#allowanceBytes = Math.min(logStoredBytesAtOnce, this.#allowanceBytes + logStoredBytesPerMinute);
    // What the disk would drop again at once is not worth a write.
    for (const ring of this.#rings.values()) forgetBefore(ring, ring.lines.at(-limits.logLinesKept)?.id);
    const waiting = [...this.#rings.values()].filter(({ unstored }) => unstored.length > 0);
    if (waiting.length === 0) return;
    const chosen = choose(waiting, all ? Infinity : this.#allowanceBytes);
    const lines = waiting.flatMap(({ unstored }, at) => unstored.slice(unstored.length - chosen.counts[at]));
    this.#storage.write(lines.sort((left, right) => left.id - right.id));
    this.#allowanceBytes = Math.max(0, this.#allowanceBytes - chosen.bytes);
    for (const [at, { unstored }] of waiting.entries()) unstored.length -= chosen.counts[at];
  }

  /** Sets come and go; whoever adds one clears away what is left of those that went. */
  #makeRing(replicaSet: string, exists: (set: string) => boolean): Ring {
    for (const name of this.#rings.keys()) {
      if (exists(name)) continue;
      this.#rings.delete(name);
      this.#gone.add(name);
    }
    return this.#addRing(replicaSet);
  }

  #addRing(replicaSet: string): Ring {
    const ring: Ring = { lines: [], characters: 0, unstored: [] };
    this.#rings.set(replicaSet, ring);
    return ring;
  }

  #add(ring: Ring, line: LogLineView): void {
    ring.lines.push(line);
    ring.unstored.push(line);
    ring.characters += line.text.length;
    if (ring.lines.length > 2 * limits.logLinesKept || ring.characters > 2 * charactersKept) trim(ring);
  }
}

function matches(line: LogLineView, query: LogQuery): boolean {
  const { afterId = 0, agent, revision, sinceMs = 0, level, requestId, contains } = query;
  return line.id > afterId && line.atMs >= sinceMs &&
    (agent === undefined || line.agent === agent) &&
    (revision === undefined || line.revision === revision) &&
    (level === undefined || logLevels.indexOf(line.level) >= logLevels.indexOf(level)) &&
    (requestId === undefined || line.requestId === requestId) &&
    (contains === undefined || line.text.toLowerCase().includes(contains.toLowerCase()));
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
  forgetBefore(ring, ring.lines[0]?.id);
}

function forgetBefore(ring: Ring, firstId = 0): void {
  if (ring.unstored.length > 0 && ring.unstored[0].id >= firstId) return;
  ring.unstored = ring.unstored.filter(({ id }) => id >= firstId);
}

/** How many of each ring's newest lines to write, with that much in all: who has little first, the rest in equal parts. */
function choose(rings: readonly Ring[], bytesMax: number): { counts: number[]; bytes: number } {
  const counts = rings.map(() => 0);
  const needs = rings.map(({ unstored }, at) => ({ at, bytes: bytesOf(unstored) }));
  let bytes = 0;
  for (const [done, { at }] of needs.sort((one, other) => one.bytes - other.bytes).entries()) {
    const { unstored } = rings[at];
    const part = bytes + (bytesMax - bytes) / (rings.length - done);
    for (let index = unstored.length - 1; index >= 0; index--) {
      const size = bytesOf([unstored[index]]);
      if (bytes + size > part) break;
      bytes += size;
      counts[at] += 1;
    }
  }
  return { counts, bytes };
}

function bytesOf(lines: readonly LogLineView[]): number {
  return lines.reduce((sum, { text }) => sum + text.length + lineBytes, 0);
}

/**
 * What the cluster decided and noticed, for people: appended one by one, read newest last, the oldest dropped.
 * Appending is one insert without a disk sync (write-ahead log), so callers need no batching.
 */
import { and, asc, desc, eq, gt, gte, inArray, lt, lte, or, type SQL, sql } from "drizzle-orm";
import { limits } from "../limits.ts";
import type { EventView } from "../protocol/views.ts";
import type { Database } from "./database.ts";
import { events } from "./schema.ts";

export interface EventFilter {
  /** At most this many, the newest of those that match; 100 unless said. */
  limit?: number;
  /** Only events after this id, for following; then the oldest of those come first. */
  afterId?: number;
  sinceMs?: number;
  /** Only events before it. */
  untilMs?: number;
  /** At least so grave. */
  level?: EventView["level"];
  /** Any of these. */
  kinds?: readonly string[];
  subject?: string;
}

/** How often the oldest are dropped: once per so many appended. */
const pruneEvery = 500;
const limitDefault = 100;
const limitMax = 5000;
const messageCharactersMax = 4096;

export class EventStore {
  readonly #database: Database;
  readonly #keptMax: number;
  readonly #append: ReturnType<typeof prepareAppend>;

  constructor(database: Database, keptMax: number = limits.eventsKept) {
    this.#database = database;
    this.#keptMax = keptMax;
    this.#append = prepareAppend(database);
  }

  /** Stores an event and returns it with its id. Ids only grow, also over restarts. */
  append(event: Omit<EventView, "id">): EventView {
    const { atMs, level, kind, subject } = event;
    const message = event.message.slice(0, messageCharactersMax);
    const stored = this.#append.get({ atMs, level, kind, subject, message });
    if (stored.id % pruneEvery === 0) this.prune(atMs);
    return stored;
  }

  /** Runs `action` once the events so far are committed, and never when they are rolled back. */
  afterCommit(action: () => void): void {
    this.#database.afterCommit(action);
  }

  /** In the order they were appended. */
  list(filter: EventFilter = {}): EventView[] {
    const limit = Math.min(filter.limit ?? limitDefault, limitMax);
    const conditions: SQL[] = [];
    if (filter.afterId !== undefined) conditions.push(gt(events.id, filter.afterId));
    if (filter.sinceMs !== undefined) conditions.push(gte(events.atMs, filter.sinceMs));
    if (filter.untilMs !== undefined) conditions.push(lt(events.atMs, filter.untilMs));
    if (filter.level !== undefined) conditions.push(inArray(events.level, levelsFrom(filter.level)));
    if (filter.kinds !== undefined) conditions.push(inArray(events.kind, [...filter.kinds]));
    if (filter.subject !== undefined) conditions.push(eq(events.subject, filter.subject));
    const isFollowing = filter.afterId !== undefined;
    const rows = this.#database.orm.select().from(events).where(and(...conditions))
      .orderBy(isFollowing ? asc(events.id) : desc(events.id)).limit(limit).all();
    return isFollowing ? rows : rows.reverse();
  }

  /** The newest event's id; 0 when there is none. */
  lastId(): number {
    return this.#database.orm.select({ id: events.id }).from(events).orderBy(desc(events.id)).get()?.id ?? 0;
  }

  /** Drops what is older than 30 days, and all but the newest; returns how many went. Happens by itself while appending. */
  prune(nowMs: number): number {
    const isGone = or(
      lte(events.id, this.lastId() - this.#keptMax),
      lt(events.atMs, nowMs - limits.eventsKeptMs),
    );
    return Number(this.#database.orm.delete(events).where(isGone).run().changes);
  }
}

/** Built once: that costs more than the insert. */
function prepareAppend({ orm }: Database) {
  return orm.insert(events).values({
    atMs: sql.placeholder("atMs"),
    level: sql.placeholder("level"),
    kind: sql.placeholder("kind"),
    subject: sql.placeholder("subject"),
    message: sql.placeholder("message"),
  }).returning().prepare();
}

function levelsFrom(level: EventView["level"]): EventView["level"][] {
  return level === "info" ? ["info", "warn", "error"] : level === "warn" ? ["warn", "error"] : ["error"];
}

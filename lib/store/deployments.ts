/**
 * ReplicaSets with their revisions, rollouts and module files. Written by a deployment and by rollout steps,
 * read whole when the manager starts; in between the manager works on its own copy.
 * Invariant: a stored revision's modules are all stored, and a revision's number is never given twice.
 */
import { isDeepStrictEqual } from "node:util";
import { and, asc, desc, eq, getTableColumns, sql } from "drizzle-orm";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Revision, RevisionSpecification } from "../protocol/revision.ts";
import type { RolloutView } from "../protocol/views.ts";
import type { Database } from "./database.ts";
import { asInserted, placeholdersFor } from "./prepared.ts";
import { RolloutHistory } from "./rollout_history.ts";
import { modules, replicaSets, revisionNumbers, revisions, rollouts } from "./schema.ts";

export type SetOwner = "file" | "api";

/** A rollout as it is kept; how many replicas are ready is not, for that is what agents report. */
export type RolloutRecord = Omit<RolloutView, "ready" | "total" | "weight">;

export interface StoredSet {
  name: string;
  owner: SetOwner;
  /** What shall run. */
  current: Revision;
  /** The last one that was fully rolled out. */
  good?: Revision;
  /** The rollout's `fallback`, while it is kept. */
  previous?: Revision;
  /** Set by `scale`; overrules the specification's number. */
  replicasOverride?: number | "all";
  /** How many the load needed last; says something only where the load decides. */
  scaledTo?: number;
  rollout?: RolloutRecord;
  createdAtMs: number;
}

export interface Deployment {
  owner: SetOwner;
  /** A user's name, or "configuration file". */
  createdBy: string;
  nowMs: number;
  /** Ends a `scale`, whatever its number. */
  rescale?: boolean;
}

export class DeploymentStore {
  /** Also those that are over. */
  readonly rollouts: RolloutHistory;
  readonly #database: Database;
  readonly #kept: number;
  readonly #queries: ReturnType<typeof prepareQueries>;

  constructor(database: Database, kept: number = limits.revisionsKept) {
    this.#database = database;
    this.#kept = kept;
    this.rollouts = new RolloutHistory(database);
    this.#queries = prepareQueries(database);
  }

  /**
   * Stores a revision with its modules as the set's current one, making the set when it is new, and drops what is
   * too old: all in one transaction, on the disk at return. `files` holds at least the modules not stored before,
   * by SHA-256. A `scale` stays in force unless the specification's own number has changed, `rescale` says so, or the
   * set is the file's now, which alone says how many. Throws `internal` when a module's bytes are missing.
   */
  addRevision(
    specification: RevisionSpecification,
    files: ReadonlyMap<string, Uint8Array>,
    deployment: Deployment,
  ): Revision {
    const { owner, createdBy, nowMs, rescale } = deployment;
    const name = specification.name;
    return this.#database.transaction(() => {
      this.#storeModules(specification, files, nowMs);
      const revision = this.#nextNumber(name);
      const before = this.find(name);
      const isRescaled = before &&
        (rescale || owner === "file" || saysOtherReplicas(before.current.specification, specification));
      this.#database.orm.insert(replicaSets)
        .values({ name, owner, currentRevision: revision, goodRevision: 0, createdAtMs: nowMs })
        .onConflictDoUpdate({
          target: replicaSets.name,
          set: { owner, currentRevision: revision, ...(isRescaled ? { replicasOverride: null } : {}) },
        }).run();
      const version = specification.version;
      this.#database.orm.insert(revisions)
        .values({ replicaSet: name, revision, version, createdAtMs: nowMs, createdBy, specification }).run();
      this.#prune(name);
      return { replicaSet: name, revision, createdAtMs: nowMs, createdBy, specification };
    }, "durable");
  }

  /** Every set with what belongs to it, by name. */
  loadAll(): StoredSet[] {
    return this.#queries.sets.all().map((row) => this.#assemble(row));
  }

  find(name: string): StoredSet | undefined {
    const row = this.#queries.set.get({ name });
    return row && this.#assemble(row);
  }

  /** All kept revisions of a set, newest first; empty when there is no such set. */
  revisions(name: string): Revision[] {
    return this.#database.orm.select().from(revisions).where(eq(revisions.replicaSet, name))
      .orderBy(desc(revisions.revision)).all().map(toRevision);
  }

  revision(name: string, revision: number): Revision | undefined {
    const row = this.#queries.revision.get({ name, revision });
    return row && toRevision(row);
  }

  /** Makes a kept revision the current one again (undo). Throws `not_found` when it isn't kept. */
  setCurrent(name: string, revision: number): Revision {
    return this.#database.transaction(() => {
      const found = this.#require(name, revision);
      this.#updateSet(name, { currentRevision: revision });
      return found;
    }, "durable");
  }

  /** Notes that a revision is fully rolled out. Throws `not_found` when it isn't kept. */
  setGood(name: string, revision: number): void {
    this.#database.transaction(() => {
      this.#require(name, revision);
      this.#updateSet(name, { goodRevision: revision });
    }, "durable");
  }

  /** Overrules the specification's number of replicas; `null` ends that. Throws `not_found`. */
  setReplicasOverride(name: string, replicas: number | "all" | null): void {
    this.#database.transaction(() => this.#updateSet(name, { replicasOverride: replicas }), "durable");
  }

  /** Notes how many replicas the load needs. Throws `not_found`. */
  setScaledTo(name: string, replicas: number): void {
    this.#database.transaction(() => this.#updateSet(name, { scaledTo: replicas }));
  }

  /** Says who may change the set from now on; the file ends a `scale` by a client. Throws `not_found`. */
  setOwner(name: string, owner: SetOwner): void {
    const change = owner === "file" ? { owner, replicasOverride: null } : { owner };
    this.#database.transaction(() => this.#updateSet(name, change), "durable");
  }

  /** Keeps the set's newest rollout, and notes it among all. Throws `not_found` when there is no such set. */
  saveRollout(rollout: RolloutRecord): void {
    const { replicaSet, fromRevision, toRevision, state, startedAtMs } = rollout;
    const columns = { fromRevision, toRevision, state, startedAtMs };
    const optional = {
      reason: rollout.reason ?? null,
      endedAtMs: rollout.endedAtMs ?? null,
      fallback: rollout.fallback ?? null,
      step: rollout.step ?? null,
    };
    this.#database.transaction(() => {
      if (!this.#exists(replicaSet)) throw noSuchSet(replicaSet);
      this.#queries.saveRollout.run({ replicaSet, ...columns, ...optional });
      this.rollouts.save(rollout);
    });
  }

  /** Removes a set with everything only it needed; whether there was one. */
  deleteSet(name: string, nowMs: number): boolean {
    return this.#database.transaction(() => {
      if (
        Number(this.#database.orm.delete(replicaSets).where(eq(replicaSets.name, name)).run().changes) === 0
      ) {
        return false;
      }
      this.#pruneModules();
      this.rollouts.setDeleted(name, nowMs);
      return true;
    }, "durable");
  }

  /** A module file's bytes by SHA-256. */
  module(sha256: string): Uint8Array | undefined {
    return this.#queries.module.get({ sha256 })?.bytes;
  }

  #assemble(row: typeof replicaSets.$inferSelect): StoredSet {
    const { name, owner, createdAtMs } = row;
    const rollout = this.#queries.rollout.get({ name });
    const good = row.goodRevision === 0 ? undefined : this.revision(name, row.goodRevision);
    const previous = rollout?.fallback ? this.revision(name, rollout.fallback) : undefined;
    return {
      name,
      owner,
      createdAtMs,
      ...(previous ? { previous } : {}),
      current: this.#require(name, row.currentRevision),
      ...(good ? { good } : {}),
      ...(row.replicasOverride === null ? {} : { replicasOverride: row.replicasOverride }),
      ...(row.scaledTo === null ? {} : { scaledTo: row.scaledTo }),
      ...(rollout ? { rollout: toRollout(rollout) } : {}),
    };
  }

  #storeModules(
    specification: RevisionSpecification,
    files: ReadonlyMap<string, Uint8Array>,
    createdAtMs: number,
  ): void {
    for (const { sha256, source } of specification.modules) {
      const bytes = files.get(sha256);
      if (bytes) {
        this.#database.orm.insert(modules).values({ sha256, bytes, sizeBytes: bytes.length, createdAtMs })
          .onConflictDoNothing().run();
      } else if (!this.#hasModule(sha256)) {
        throw new SqwishError(
          "internal",
          `Storing ${specification.name} needs the bytes of each module, those of ${source} are missing`,
          { details: { sha256 } },
        );
      }
    }
  }

  #hasModule(sha256: string): boolean {
    return this.#database.orm.select({ sha256: modules.sha256 }).from(modules)
      .where(eq(modules.sha256, sha256)).get() !== undefined;
  }

  #nextNumber(name: string): number {
    const row = this.#database.orm.insert(revisionNumbers).values({ replicaSet: name, lastRevision: 1 })
      .onConflictDoUpdate({
        target: revisionNumbers.replicaSet,
        set: { lastRevision: sql`${revisionNumbers.lastRevision} + 1` },
      }).returning().get();
    return row.lastRevision;
  }

  /** Keeps the newest revisions, and whatever the set or its rollout still points at. */
  #prune(name: string): void {
    const set = this.#queries.set.get({ name });
    const rollout = this.#queries.rollout.get({ name });
    const pointedAt = new Set([
      set?.currentRevision,
      set?.goodRevision,
      rollout?.fromRevision,
      rollout?.toRevision,
      rollout?.fallback,
    ]);
    const numbers = this.#database.orm.select({ revision: revisions.revision }).from(revisions)
      .where(eq(revisions.replicaSet, name)).orderBy(desc(revisions.revision)).all();
    const tooOld = numbers.slice(this.#kept).filter(({ revision }) => !pointedAt.has(revision));
    for (const { revision } of tooOld) {
      this.#database.orm.delete(revisions)
        .where(and(eq(revisions.replicaSet, name), eq(revisions.revision, revision))).run();
    }
    if (tooOld.length > 0) this.#pruneModules();
  }

  #pruneModules(): void {
    this.#database.orm.delete(modules).where(
      sql`${modules.sha256} NOT IN (
        SELECT json_extract(file.value, '$.sha256')
        FROM ${revisions}, json_each(${revisions.specification}, '$.modules') AS file)`,
    ).run();
  }

  #require(name: string, revision: number): Revision {
    const found = this.revision(name, revision);
    if (found) return found;
    if (!this.#exists(name)) throw noSuchSet(name);
    const kept = this.revisions(name).map((each) => each.revision).join(", ");
    throw new SqwishError("not_found", `There is no revision ${revision} of ${name}; kept are ${kept}`);
  }

  #exists(name: string): boolean {
    return this.#queries.set.get({ name }) !== undefined;
  }

  #updateSet(name: string, change: Partial<typeof replicaSets.$inferInsert>): void {
    const { changes } = this.#database.orm.update(replicaSets).set(change).where(eq(replicaSets.name, name))
      .run();
    if (Number(changes) === 0) throw noSuchSet(name);
  }
}

/** What is asked for at every change of a set: building these queries costs far more than running them. */
function prepareQueries({ orm }: Database) {
  const name = sql.placeholder("name");
  const isRevision = and(eq(revisions.replicaSet, name), eq(revisions.revision, sql.placeholder("revision")));
  return {
    sets: orm.select().from(replicaSets).orderBy(asc(replicaSets.name)).prepare(),
    set: orm.select().from(replicaSets).where(eq(replicaSets.name, name)).prepare(),
    revision: orm.select().from(revisions).where(isRevision).prepare(),
    rollout: orm.select().from(rollouts).where(eq(rollouts.replicaSet, name)).prepare(),
    saveRollout: prepareSaveRollout(orm),
    module: orm.select({ bytes: modules.bytes }).from(modules)
      .where(eq(modules.sha256, sql.placeholder("sha256"))).prepare(),
  };
}

/** In place of what the set's rollout was before. */
function prepareSaveRollout(orm: Database["orm"]) {
  const { replicaSet, ...rest } = getTableColumns(rollouts);
  return orm.insert(rollouts).values(placeholdersFor({ replicaSet, ...rest }))
    .onConflictDoUpdate({ target: replicaSet, set: asInserted(rest) }).prepare();
}

/** A specification that says how many anew ends a `scale`. */
export function saysOtherReplicas(before: RevisionSpecification, after: RevisionSpecification): boolean {
  return !isDeepStrictEqual(before.replicas, after.replicas);
}

function noSuchSet(name: string): SqwishError {
  return new SqwishError("not_found", `There is no replicaSet named ${name}`);
}

function toRevision(row: typeof revisions.$inferSelect): Revision {
  const { replicaSet, revision, createdAtMs, createdBy, specification } = row;
  return { replicaSet, revision, createdAtMs, createdBy, specification };
}

function toRollout(row: typeof rollouts.$inferSelect): RolloutRecord {
  const { reason, endedAtMs, fallback, step, ...rest } = row;
  return {
    ...rest,
    ...(reason === null ? {} : { reason }),
    ...(endedAtMs === null ? {} : { endedAtMs }),
    ...(fallback === null ? {} : { fallback }),
    ...(step === null ? {} : { step }),
  };
}

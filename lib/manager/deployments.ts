/**
 * Changes to what shall run: deployments by clients and by the configuration file, scale, undo, delete. Each is
 * checked whole before anything is stored, stored in one transaction, and then left to the controller.
 */
import type { Clock } from "../clock.ts";
import type { BuildModuleSets } from "../deployment/module_builder.ts";
import { differences } from "../deployment/difference.ts";
import type { ModuleSource } from "../deployment/modules.ts";
import { sameSpecification } from "../deployment/revision.ts";
import { revisionInForce } from "../deployment/rollout.ts";
import type { ConfiguredReplicaSet } from "../deployment/specification.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { notFound } from "../near_miss.ts";
import type { DeployRequest, DeployView } from "../protocol/deploy_views.ts";
import type { StoredSet } from "../store/deployments.ts";
import { buildSet, buildSets, type BuiltSet } from "./build_sets.ts";
import type { Store } from "../store/store.ts";
import type { RecordEvent } from "./events.ts";
import { keepsOf, wishOf } from "./kept_settings.ts";

export interface DeploymentsOptions {
  clock: Clock;
  /** A change and its event are one transaction: none is without the other, whenever this program ends. */
  store: Pick<Store, "deployments" | "transaction">;
  build: BuildModuleSets;
  record: RecordEvent;
  /** What a set with these functions would take away from those who called it lately, in words; absent: nobody asks. */
  dropped?(replicaSet: string, functions: readonly string[]): string | undefined;
  /** Stored sets changed. */
  changed(): void;
}

export class Deployments {
  readonly #options: DeploymentsOptions;
  /** The build under way. They take turns, for each holds a compiler. */
  #building: Promise<unknown> = Promise.resolve();

  constructor(options: DeploymentsOptions) {
    this.#options = options;
  }

  /** A client's deployment. Throws `invalid_request` with every error in `details.errors`, or `conflict`. */
  async deploy(request: DeployRequest, by: string): Promise<DeployView> {
    const store = this.#options.store.deployments;
    const { name } = request.replicaSet;
    this.#requireNotOfFile(store.find(name), name, "deployed by a client");
    const { built, says, keptSettings } = await this.#inTurn(async () => {
      // What is kept is what the deployment before this one has left.
      const { settings, ...wish } = wishOf(request, store.find(name));
      return { ...wish, built: await buildSet(this.#options.build, settings, request.modules.map(sourceOf)) };
    });
    const { specification } = built;
    const before = store.find(name);
    this.#requireNotOfFile(before, name, "deployed by a client");
    if (!before && store.loadAll().length >= limits.replicaSetsMax) {
      throw new SqwishError(
        "conflict",
        `A cluster holds at most ${limits.replicaSetsMax} replicaSets; delete some first`,
      );
    }
    const keeps = { ...(request.rescale ? {} : keepsOf(says, specification, before)), ...keptSettings };
    if (
      before && before.rollout?.state !== "failed" &&
      sameSpecification(before.current.specification, specification)
    ) {
      const endsScale = request.rescale && before.replicasOverride !== undefined;
      if (endsScale && !request.dryRun) this.scale(name, "auto", by);
      return {
        replicaSet: name,
        revision: before.current.revision,
        changed: false,
        ...keeps,
        ...(endsScale ? { rescaled: specification.replicas } : {}),
        ...(request.dryRun ? { changes: [] } : {}),
      };
    }
    const refusal = this.#refusalOf(built);
    if (request.dryRun) {
      // What a rollback left behind is not what would change.
      const inForce = before && revisionInForce(before);
      return {
        replicaSet: name,
        revision: inForce?.revision ?? 0,
        changed: true,
        ...keeps,
        changes: differences(inForce?.specification, specification),
        ...(refusal === undefined ? {} : { refusal }),
      };
    }
    if (refusal !== undefined) throw new SqwishError("conflict", refusal);
    return { ...this.#add(built, "api", by, request.rescale), ...keeps };
  }

  #refusalOf({ specification: { name, rollout }, functions }: BuiltSet): string | undefined {
    return rollout.breaking === "allow" ? undefined : this.#options.dropped?.(name, functions);
  }

  /**
   * Makes the configuration file's sets the ones in force: all, or none when any has an error, which are then returned
   * in words. `files` are all that were read. Sets of an earlier file that this one no longer names are deleted.
   */
  async applyFile(
    sets: readonly ConfiguredReplicaSet[],
    baseFolder: string,
  ): Promise<{ errors: string[]; files: string[] }> {
    const { built, errors, files } = await this.#inTurn(() =>
      buildSets(this.#options.build, sets, baseFolder)
    );
    errors.push(...built.filter((one) => !this.#isStored(one)).flatMap((one) => this.#refusalOf(one) ?? []));
    if (errors.length > 0) return { errors, files };
    const store = this.#options.store.deployments;
    const named = new Set(sets.map((set) => set.name));
    for (const set of store.loadAll()) {
      if (set.owner !== "file" || named.has(set.name)) continue;
      this.#delete(set.name, `ReplicaSet ${set.name} is no longer in the configuration file`);
    }
    for (const one of built) this.#addWhenNew(one);
    this.#options.changed();
    return { errors: [], files };
  }

  /** Throws `not_found` or `conflict`. */
  scale(name: string, replicas: number | "all" | "auto", by: string): void {
    const set = this.#known(name);
    this.#requireNotOfFile(set, name, "scaled by a client");
    const { store: { deployments: store }, record } = this.#options;
    const what = replicas === "auto"
      ? `lets the specification say how ${name} is scaled`
      : `scaled ${name} to ${replicas}`;
    this.#options.store.transaction(() => {
      store.setReplicasOverride(name, replicas === "auto" ? null : replicas);
      record("info", "scaled", name, `${by} ${what}`);
    }, "durable");
    this.#options.changed();
  }

  /** Holds the rollout under way, or lets a held one go on. Throws `not_found`, or `conflict` when there is none. */
  pause(name: string, paused: boolean, by: string): void {
    const { store: { deployments: store }, record } = this.#options;
    const { rollout } = this.#known(name);
    const [from, to] = paused ? ["progressing", "paused"] as const : ["paused", "progressing"] as const;
    if (rollout?.state === to) return;
    if (rollout?.state !== from) {
      const now = rollout
        ? `its rollout to revision ${rollout.toRevision} is ${rollout.state}`
        : "it has none";
      throw new SqwishError(
        "conflict",
        `Only a rollout that is ${from} can be ${paused ? "paused" : "resumed"}; ${name}: ${now}`,
      );
    }
    const kind = paused ? "rollout_paused" : "rollout_resumed";
    const what = paused ? "paused" : "resumed";
    this.#options.store.transaction(() => {
      store.saveRollout({ ...rollout, state: to });
      record("info", kind, name, `${by} ${what} the rollout of ${name} to revision ${rollout.toRevision}`);
    }, "durable");
    this.#options.changed();
  }

  /**
   * Goes back to `toRevision`; else to the last good revision, and when that is the current one, to the newest before
   * it that did not fail when it was rolled out. Throws `not_found` or `conflict`.
   */
  undo(name: string, toRevision: number | undefined, by: string): DeployView {
    const { store: { deployments: store }, record } = this.#options;
    const set = this.#known(name);
    this.#requireNotOfFile(set, name, "undone by a client");
    const kept = store.revisions(name).map((revision) => revision.revision).sort((left, right) =>
      left - right
    );
    const failures = store.rollouts.failures(name);
    const target = toRevision ?? undoTarget(set, kept, failures);
    if (!kept.includes(target)) {
      throw new SqwishError("not_found", `${name} has no revision ${target}; kept are ${kept.join(", ")}`);
    }
    if (target === set.current.revision) {
      if (set.rollout?.state !== "failed") return { replicaSet: name, revision: target, changed: false };
      const message =
        `Revision ${target} of ${name} has just failed and is not in force; deploy it anew to try it again`;
      throw new SqwishError("conflict", message);
    }
    const failure = failures.get(target);
    const warnings = failure === undefined
      ? {}
      : { warnings: [`revision ${target} of ${name} failed when it was last rolled out: ${failure}`] };
    this.#options.store.transaction(() => {
      store.setCurrent(name, target);
      const message = `${by} set ${name} back to revision ${target} from ${set.current.revision}`;
      record("info", "rollout_undone", name, message);
    }, "durable");
    this.#options.changed();
    return { replicaSet: name, revision: target, changed: true, ...warnings };
  }

  /** Throws `not_found` or `conflict`. */
  remove(name: string, by: string): void {
    this.#requireNotOfFile(this.#known(name), name, "deleted by a client");
    this.#delete(name, `${by} deleted replicaSet ${name}`);
    this.#options.changed();
  }

  #inTurn<Value>(build: () => Promise<Value>): Promise<Value> {
    const turn = this.#building.then(build);
    this.#building = turn.catch(() => {});
    return turn;
  }

  /** A file is read at every start: what was stored last for its sets, even if it failed, is not stored again. */
  #addWhenNew(built: BuiltSet): void {
    const store = this.#options.store.deployments;
    const name = built.specification.name;
    if (this.#isStored(built)) {
      if (store.find(name)?.owner === "file") return;
      this.#options.store.transaction(() => {
        this.#tellTaken(name);
        store.setOwner(name, "file");
      }, "durable");
      return;
    }
    this.#add(built, "file", "configuration file");
  }

  /** What a client deployed becomes the file's, which alone changes it then. To be called before that. */
  #tellTaken(name: string): void {
    if (this.#options.store.deployments.find(name)?.owner !== "api") return;
    this.#options.record(
      "warn",
      "owner_changed",
      name,
      `ReplicaSet ${name} was deployed by a client and belongs to the configuration file from now on: ` +
        "only the file changes it, and it is deleted when the file no longer names it",
    );
  }

  #isStored({ specification }: BuiltSet): boolean {
    const { deployments } = this.#options.store;
    const [newest] = deployments.revisions(specification.name);
    if (!newest || !sameSpecification(newest.specification, specification)) return false;
    // What failed for want of consent is tried again with it.
    const hasFailed = deployments.find(specification.name)?.rollout?.state === "failed";
    return !hasFailed || newest.specification.rollout.breaking === specification.rollout.breaking;
  }

  #add(
    { specification, blobs }: BuiltSet,
    owner: "file" | "api",
    createdBy: string,
    rescale = false,
  ): DeployView {
    const { store: { deployments: store }, clock, record } = this.#options;
    const { name, version } = specification;
    const { revision } = this.#options.store.transaction(() => {
      if (owner === "file") this.#tellTaken(name);
      const added = store.addRevision(specification, blobs, {
        owner,
        createdBy,
        rescale,
        nowMs: clock.nowMs(),
      });
      record(
        "info",
        "deployed",
        name,
        `${createdBy} deployed ${name} ${version} as revision ${added.revision}`,
      );
      return added;
    }, "durable");
    this.#options.changed();
    return { replicaSet: name, revision, changed: true };
  }

  #delete(name: string, message: string): void {
    this.#options.store.transaction(() => {
      this.#options.store.deployments.deleteSet(name, this.#options.clock.nowMs());
      this.#options.record("info", "replica_set_deleted", name, message);
    }, "durable");
  }

  #known(name: string): StoredSet {
    const set = this.#options.store.deployments.find(name);
    if (set) return set;
    throw notFound("replicaSet", name, this.#options.store.deployments.loadAll().map((at) => at.name));
  }

  #requireNotOfFile(set: StoredSet | undefined, name: string, what: string): void {
    if (set?.owner !== "file") return;
    throw new SqwishError(
      "conflict",
      `ReplicaSet ${name} belongs to the configuration file and can't be ${what}; change the file`,
    );
  }
}

/** What an undo that names no revision goes back to, of those `kept`, oldest first. Throws `conflict`. */
function undoTarget(
  { name, current, good }: StoredSet,
  kept: readonly number[],
  failures: ReadonlyMap<number, string>,
): number {
  if (good && good.revision !== current.revision) return good.revision;
  const earlier = kept.filter((revision) => revision < current.revision);
  const target = earlier.findLast((revision) => !failures.has(revision));
  if (target !== undefined) return target;
  if (earlier.length === 0) {
    throw new SqwishError("conflict", `${name} has no revision before ${current.revision}`);
  }
  throw new SqwishError(
    "conflict",
    `Every revision of ${name} before ${current.revision} failed when it was rolled out: ${
      earlier.join(", ")
    }; ` +
      "only one that is named is gone back to all the same (--to)",
  );
}

function sourceOf(module: DeployRequest["modules"][number]): ModuleSource {
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(module.base64), (char) => char.charCodeAt(0));
  } catch (cause) {
    throw new SqwishError(
      "invalid_request",
      `Module ${module.path}: base64 must be the file's bytes in base64`,
      { cause },
    );
  }
  return { path: module.path, source: module.source ?? module.path, bytes, entry: module.entry };
}

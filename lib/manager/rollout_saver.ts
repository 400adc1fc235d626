/**
 * Stores what became of rollouts: the controller's records → here → `store/deployments`. A full disk must not stop the
 * cluster from deciding, so what it does not take is kept in mind and tried again, before the next decision is made.
 */
import type { RolloutRecord } from "../deployment/plan.ts";
import { describeError } from "../errors.ts";
import type { DeploymentStore, StoredSet } from "../store/deployments.ts";
import type { Store } from "../store/store.ts";
import type { RecordEvent } from "./events.ts";

export interface RolloutSaverOptions {
  deployments: Pick<DeploymentStore, "saveRollout" | "setGood">;
  record: RecordEvent;
  transaction: Store["transaction"];
}

export class RolloutSaver {
  readonly #options: RolloutSaverOptions;
  #unsaved = new Set<string>();

  constructor(options: RolloutSaverOptions) {
    this.#options = options;
  }

  /** Something waits for a disk with room. */
  get isBehind(): boolean {
    return this.#unsaved.size > 0;
  }

  /** False when the disk took nothing. */
  save(set: StoredSet | undefined, rollout: RolloutRecord): boolean {
    const { deployments } = this.#options;
    const { replicaSet, state, toRevision, fallback } = rollout;
    try {
      deployments.saveRollout(rollout);
      if (state === "done") deployments.setGood(replicaSet, toRevision);
      // It had been taken for good too early.
      const wasGood = set?.good?.revision === toRevision;
      if (state === "failed" && wasGood && fallback !== undefined) deployments.setGood(replicaSet, fallback);
      this.#unsaved.delete(replicaSet);
      return true;
    } catch (thrown) {
      this.note(replicaSet, thrown);
      return false;
    }
  }

  note(name: string, thrown: unknown): void {
    if (this.#unsaved.has(name)) return;
    this.#unsaved.add(name);
    const message = `The rollout of ${name} could not be stored: ${describeError(thrown)}`;
    this.#options.record("error", "rollout_unsaved", name, message);
  }

  /** Tries again what waits; whether anything was stored. What comes after it builds on what was good by then. */
  catchUp(sets: ReadonlyMap<string, StoredSet>, rollouts: ReadonlyMap<string, RolloutRecord>): boolean {
    const waiting = [...this.#unsaved].filter((name) => sets.has(name) && rollouts.has(name));
    this.#unsaved = new Set(waiting);
    if (waiting.length === 0) return false;
    try {
      return this.#options.transaction(
        () => waiting.map((name) => this.save(sets.get(name), rollouts.get(name)!)).includes(true),
        "durable",
      );
    } catch {
      // It was rolled back. That it could not be stored has been told.
      this.#unsaved = new Set(waiting);
      return false;
    }
  }
}

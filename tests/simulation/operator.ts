/** The person who deploys, scales, undoes, deletes and cordons while everything else goes wrong. */
import type { Dice } from "./dice.ts";
import type { ModuleSource } from "./modules.ts";
import { moments, type PlannedSet } from "./plan.ts";
import type { World } from "./world.ts";

const retryMs = 500;

export class Operator {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #versions = new Map<string, number>();

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
  }

  /** The first deployments, and what comes after them. */
  begin(): void {
    const { plan, timeline } = this.#world;
    for (const set of plan.sets) this.#deploy(set, false);
    const next = (atMs: number) => {
      if (atMs >= moments.healAt - 2000) return;
      timeline.at(atMs, () => {
        this.#change(this.#dice.pick(plan.sets));
        next(timeline.nowMs + this.#dice.wait(plan.changeMs));
      });
    };
    next(moments.faultsFrom + this.#dice.wait(plan.changeMs));
  }

  #change(set: PlannedSet): void {
    const { manager, agents } = this.#world;
    const dice = this.#dice;
    const roll = dice.random.next();
    if (!manager.isUp || roll < 0.5) return this.#deploy(set, dice.chance(0.15));
    try {
      if (roll < 0.65) manager.deployments.scale(set.name, dice.whole(0, 6), "operator");
      else if (roll < 0.75) manager.deployments.undo(set.name, undefined, "operator");
      else if (roll < 0.8) {
        manager.deployments.remove(set.name, "operator");
        this.#world.later(dice.between(0, 1000), () => this.#deploy(set, false));
      } else this.#world.cordon(dice.pick(agents).name, dice.chance(0.5));
    } catch (thrown) {
      // A manager that has crashed, a full disk, nothing to undo: a person would read it and go on.
      this.#world.trace.note("refused", thrown instanceof Error ? thrown.message : "");
    }
  }

  /** Tried again until a manager has taken it. */
  #deploy(set: PlannedSet, isBroken: boolean): void {
    const version = (this.#versions.get(set.name) ?? 0) + 1;
    this.#versions.set(set.name, version);
    const dice = this.#dice;
    const source: ModuleSource = {
      set: set.name,
      version,
      salt: dice.whole(0, 1e9),
      loadMs: dice.pick([5, 50, 300]),
      isBroken,
      failsToLoad: dice.pick([0, 0, 0, 0.1]),
    };
    const attempt = () => {
      if (this.#versions.get(set.name) !== version) return;
      const { manager, trace } = this.#world;
      if (!manager.isUp) return this.#world.later(retryMs, attempt);
      manager.deployments.deploy(requestOf(set, source), "operator").then(
        ({ revision }) => trace.note("deployed", set.name, revision, isBroken ? "broken" : ""),
        () => this.#world.later(retryMs, attempt),
      );
    };
    attempt();
  }
}

function requestOf(set: PlannedSet, source: ModuleSource) {
  return {
    replicaSet: {
      name: set.name,
      version: `${source.version}.0.0`,
      replicas: set.replicas,
      queue: { max: set.queueMax },
      timeoutMs: set.timeoutMs,
      idempotent: set.idempotent,
      rollout: { maxUnavailable: 1, maxSurge: set.surge, minReadyMs: set.minReadyMs, deadlineMs: 8000 },
      ...(set.concurrency === undefined ? {} : { concurrency: set.concurrency }),
      ...(set.zone === undefined ? {} : { placement: { zone: set.zone } }),
    },
    modules: [{ path: "main.js", entry: true, base64: btoa(JSON.stringify(source)) }],
  };
}

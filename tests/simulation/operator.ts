/** The person who deploys, scales, pauses, undoes, deletes, cordons and drains while everything else goes wrong. */
import type { Dice } from "./dice.ts";
import type { ModuleSource } from "./modules.ts";
import { moments, type PlannedSet } from "./plan.ts";
import type { World } from "./world.ts";

const retryMs = 500;
/** Loads for longer than a run lasts. */
const neverMs = 600_000;
/** How long a revision of the set that is asked most is watched before it is changed again. */
const watchMs = 8000;

export class Operator {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #versions = new Map<string, number>();
  #watchedUntilMs = 0;

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
  }

  /** The first deployments, and what comes after them. */
  begin(): void {
    const { plan, timeline } = this.#world;
    for (const set of plan.sets) this.#deploy(set, {});
    const next = (atMs: number) => {
      if (atMs >= moments.healAt - 2000) return;
      timeline.at(atMs, () => {
        this.#change(this.#nextSet());
        next(timeline.nowMs + this.#dice.wait(plan.changeMs));
      });
    };
    next(moments.faultsFrom + this.#dice.wait(plan.changeMs));
    this.#spoilLast();
  }

  /** Where one set is asked most, its last revision is often a bad one: nothing but its answers can tell. */
  #spoilLast(): void {
    const { plan, timeline } = this.#world;
    const busiest = plan.sets.find(({ name }) => name === plan.busiest);
    if (busiest === undefined || !this.#dice.chance(0.7)) return;
    timeline.at(moments.healAt - this.#dice.between(1000, 8000), () => {
      this.#watchedUntilMs = Infinity;
      this.#deploy(busiest, { answers: this.#dice.pick(["badly", "badly", "slowly"]) });
    });
  }

  /** More often the one that most requests are for: it is judged by its answers, which takes a while. */
  #nextSet(): PlannedSet {
    const { plan, timeline } = this.#world;
    const busiest = plan.sets.find(({ name }) => name === plan.busiest);
    if (busiest === undefined) return this.#dice.pick(plan.sets);
    if (timeline.nowMs < this.#watchedUntilMs) {
      return this.#dice.pick(plan.sets.filter((set) => set !== busiest));
    }
    if (!this.#dice.chance(0.6)) return this.#dice.pick(plan.sets);
    this.#watchedUntilMs = timeline.nowMs + this.#dice.between(0, 2 * watchMs);
    return busiest;
  }

  #change(set: PlannedSet): void {
    const { manager, agents } = this.#world;
    const dice = this.#dice;
    const roll = dice.random.next();
    if (!manager.isUp || roll < 0.45) return this.#deploy(set, this.#mistakes(set));
    try {
      if (roll < 0.54) {
        const wanted = dice.chance(0.3) ? dice.pick(["all", "auto"] as const) : dice.whole(0, 6);
        manager.deployments.scale(set.name, wanted, "operator");
      } else if (roll < 0.61) manager.deployments.undo(set.name, undefined, "operator");
      else if (roll < 0.73) {
        manager.deployments.remove(set.name, "operator");
        this.#world.later(dice.between(0, 1000), () => this.#deploy(set, {}));
      } else if (roll < 0.85) this.#pause();
      else this.#world.cordon(dice.pick(agents).name, dice.pick(["cordon", "drain", "uncordon", "uncordon"]));
    } catch (thrown) {
      // A manager that has crashed, a full disk, nothing to undo: a person would read it and go on.
      this.#world.trace.note("refused", thrown instanceof Error ? thrown.message : "");
    }
  }

  /** What is wrong with a revision, mostly nothing. */
  #mistakes(set: PlannedSet): Partial<ModuleSource> {
    const roll = this.#dice.random.next();
    if (roll < 0.1) return { isBroken: true };
    if (roll < 0.15) return { loadMs: neverMs };
    const isJudged = set.name === this.#world.plan.busiest;
    if (roll < (isJudged ? 0.5 : 0.2)) return { answers: this.#dice.pick(["badly", "badly", "slowly"]) };
    return {};
  }

  /** Holds a rollout that is under way; most go on after a while. */
  #pause(): void {
    const { plan, manager } = this.#world;
    const { controller } = manager.core;
    const set = plan.sets.find(({ name }) => controller.rollout(name)?.state === "progressing");
    if (set === undefined) return;
    manager.deployments.pause(set.name, true, "operator");
    if (this.#dice.chance(0.3)) return;
    const resume = () => {
      const { manager, trace } = this.#world;
      try {
        if (manager.isUp) return manager.deployments.pause(set.name, false, "operator");
      } catch (thrown) {
        // Undone, failed or deployed anew meanwhile: there is nothing to go on with.
        trace.note("refused", thrown instanceof Error ? thrown.message : "");
        if (!manager.isDiskFull && manager.isUp) return;
      }
      this.#world.later(retryMs, resume);
    };
    this.#world.later(this.#dice.between(200, 6000), resume);
  }

  /** Tried again until a manager has taken it. */
  #deploy(set: PlannedSet, mistakes: Partial<ModuleSource>): void {
    const version = (this.#versions.get(set.name) ?? 0) + 1;
    this.#versions.set(set.name, version);
    const dice = this.#dice;
    const source: ModuleSource = {
      set: set.name,
      version,
      salt: dice.whole(0, 1e9),
      loadMs: dice.pick([5, 50, 300]),
      isBroken: false,
      failsToLoad: dice.pick([0, 0, 0, 0.1]),
      answers: "well",
      ...mistakes,
    };
    const isCanary = set.surge > 0 && dice.chance(0.25);
    const canary = { strategy: "canary" as const, steps: this.#stages() };
    const request = requestOf(set, source, isCanary ? canary : {});
    const attempt = () => {
      if (this.#versions.get(set.name) !== version) return;
      const { manager, trace } = this.#world;
      if (!manager.isUp) return this.#world.later(retryMs, attempt);
      manager.deployments.deploy(request, "operator").then(
        ({ revision }) =>
          trace.note("deployed", set.name, revision, isCanary ? "canary" : "", JSON.stringify(mistakes)),
        () => this.#world.later(retryMs, attempt),
      );
    };
    attempt();
  }

  #stages(): { weight: number; holdMs: number }[] {
    const dice = this.#dice;
    const weights = dice.pick([[20], [50], [10, 60]]);
    return weights.map((weight) => ({ weight, holdMs: dice.pick([0, 500, 2000]) }));
  }
}

function requestOf(set: PlannedSet, source: ModuleSource, strategy: Record<string, unknown>) {
  const { minReadyMs, maxUnavailable, surge } = set;
  return {
    replicaSet: {
      name: set.name,
      version: `${source.version}.0.0`,
      replicas: set.replicas,
      queue: { max: set.queueMax },
      timeoutMs: set.timeoutMs,
      idempotent: set.idempotent,
      rollout: { maxUnavailable, maxSurge: surge, minReadyMs, deadlineMs: 8000, ...strategy },
      ...(set.concurrency === undefined ? {} : { concurrency: set.concurrency }),
      ...(set.zone === undefined ? {} : { placement: { zone: set.zone } }),
    },
    modules: [{ path: "main.js", entry: true, base64: btoa(JSON.stringify(source)) }],
  };
}

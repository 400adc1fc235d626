/**
 * Once faults have ended, all becomes as it shall be within the stated time: agents are connected and well, each set
 * runs its revision on as many agents as it can, agents run what they were told and nothing else.
 */
import { fitsPlacement } from "../../../lib/deployment/placement.ts";
import type { Revision } from "../../../lib/protocol/revision.ts";
import type { StoredSet } from "../../../lib/store/deployments.ts";
import type { Checker } from "../observer.ts";
import { moments } from "../plan.ts";
import type { World } from "../world.ts";

/** By then an agent has heard what it was told, over any line that is not broken. */
const hearsMs = 1000;

/** How long a new replica takes at most from being planned to being ready, when nothing is wrong. */
const startsMs = 500;

/** By then one has been tried again that could not be loaded at once. */
const triedAgainMs = 10_000;

export function converges(world: World): Checker {
  const name = "converges";
  const fail = (message: string) => world.fail(name, message);

  /** What each agent was told to run, newest last; all before it that counted within the last `hearsMs`. */
  const told = new Map<string, { replicas: string; untilMs: number }[]>();

  /** When a replica of each set was last moved to another agent. */
  const movedMs = new Map<string, number>();

  /** It runs what it shall, or, where that is only just being said, what it was told before. */
  function checkAgent(name: string, runs: string): void {
    const shall = replicasOf(world.manager.core.controller.assignments(name));
    if (runs === shall) return;
    const lately = told.get(name)?.filter(({ untilMs }) => untilMs + hearsMs > world.timeline.nowMs) ?? [];
    // Who was told something else than it shall run is not on its way there.
    if (lately.at(-1)?.replicas === shall && lately.some(({ replicas }) => replicas === runs)) return;
    fail(`${name} runs ${runs}, it was told to run ${shall}`);
  }

  /**
   * How many of those that have no ready replica may still wait for the one that they were told to run, without surge:
   * by its policy where a rollout is held as it is, one where a move has just taken the old one away. `lacking`: all
   * that have none; `hasFailed`: some could not load theirs, and try again.
   */
  function mayWait(
    set: StoredSet,
    target: Revision,
    lacking: readonly { name: string }[],
    hasFailed: boolean,
  ): number {
    const { maxSurge, maxUnavailable } = target.specification.rollout;
    if (maxSurge > 0) return 0;
    const movesMs = hasFailed ? triedAgainMs : hearsMs;
    const isMoving = (movedMs.get(set.name) ?? -Infinity) + movesMs > world.timeline.nowMs;
    const most = set.rollout?.state === "paused"
      ? maxUnavailable
      : isMoving
      ? Math.min(1, maxUnavailable)
      : 0;
    const { controller } = world.manager.core;
    const onTheWay = lacking.filter(({ name }) =>
      controller.assignments(name).some(({ replicaSet }) => replicaSet === set.name)
    );
    return Math.min(most, onTheWay.length);
  }

  /** Its policy lets it replace so few at a time that it needs longer than it has had, and it is getting ahead. */
  function isOnItsWay({ name, current }: StoredSet): boolean {
    const rollout = world.manager.core.controller.rollout(name);
    if (!rollout?.progress) return false;
    const { maxSurge, maxUnavailable, minReadyMs } = current.specification.rollout;
    const { clock } = world.manager.process!;
    const underWayMs = Math.min(clock.nowMs() - rollout.startedAtMs, world.timeline.nowMs - moments.healAt);
    const roundMs = minReadyMs + startsMs;
    const rounds = Math.ceil(rollout.total / (maxSurge > 0 ? maxSurge : maxUnavailable));
    return underWayMs < rounds * roundMs && clock.monotonicMs() - rollout.progress.atMs < roundMs;
  }

  function checkSet(set: StoredSet): void {
    const { core } = world.manager;
    const { rollout, current, good } = set;
    if (rollout?.state === "progressing") {
      if (isOnItsWay(set)) return;
      // What a cordoned agent runs stays until somebody takes the cordon off.
      const isHeldUp = core.agents.list().some(({ cordoned, reports }) =>
        cordoned &&
        reports.some((report) => report.replicaSet === set.name && report.revision !== current.revision)
      );
      if (isHeldUp) return;
      // Where no agent may run it, it waits for one until its deadline, which comes after the end.
      const { placement } = current.specification;
      if (!core.agents.list().some((one) => !one.cordoned && fitsPlacement(one.labels, placement))) return;
      const why = core.controller.pendingReason(set.name) ?? "";
      return fail(
        `the rollout of ${set.name} to revision ${current.revision} goes on: ${
          JSON.stringify(rollout)
        } ${why}`,
      );
    }
    // Nothing earlier is known to be good: what serves goes on. Nor is there anything to fill up with beside what is held.
    const isPaused = rollout?.state === "paused";
    if ((rollout?.state === "failed" || isPaused) && !good) return;
    const target = rollout?.state === "failed" ? good! : current;
    const asked = set.replicasOverride ?? target.specification.replicas;
    const [least, most] = asked === "all"
      ? [Infinity, Infinity]
      : typeof asked === "number"
      ? [asked, asked]
      : [asked.min, asked.max];
    const able = core.agents.list().filter((agent) =>
      fitsPlacement(agent.labels, target.specification.placement)
    );
    const runs = able.filter((agent) =>
      agent.reports.some((report) =>
        report.replicaSet === set.name && (isPaused || report.revision === target.revision) &&
        report.state === "ready"
      )
    );
    // One that was done on no replica, and fails on the first, is known to be bad only now.
    const hasFailed = (reports: readonly { replicaSet: string; revision: number; state: string }[]) =>
      reports.some((one) =>
        one.replicaSet === set.name && one.revision === target.revision && one.state === "failed"
      );
    const lacking = able.filter((agent) => !agent.cordoned && !runs.includes(agent));
    const free = lacking.filter(({ reports }) => !hasFailed(reports));
    const missing = Math.min(least - runs.length, free.length) -
      mayWait(set, target, lacking, free.length < lacking.length);
    if (missing > 0) {
      fail(
        `${set.name} lacks ${missing} of ${least} replicas of revision ${target.revision}, ${
          free[0].name
        } could run one`,
      );
    }
    // One more while a replica moves to where less runs.
    if (runs.length > most + 1) {
      fail(`${set.name} runs on ${runs.length} agents, wanted are ${most}`);
    }
  }

  return {
    name,
    eventRecorded({ kind, subject }) {
      if (kind === "replica_moved") movedMs.set(subject, world.timeline.nowMs);
    },
    managerSentMessage({ name: agent }, message) {
      if (message.type !== "desired") return;
      const { nowMs } = world.timeline;
      const before = told.get(agent) ?? [];
      if (before.length > 0) before.at(-1)!.untilMs = nowMs;
      told.set(agent, [
        ...before.filter(({ untilMs }) => untilMs + hearsMs > nowMs),
        { replicas: replicasOf(message.replicas), untilMs: Infinity },
      ]);
    },
    converged() {
      const { core, store, isUp } = world.manager;
      if (!isUp) return fail("the manager is not up");
      for (const { name: agent, health, healthReason } of core.agents.list()) {
        if (health !== "ready") fail(`${agent} is ${health}: ${healthReason}`);
      }
      if (core.agents.list().length !== world.agents.length) {
        fail(`of ${world.agents.length} agents some never joined`);
      }
      for (const set of store.deployments.loadAll()) checkSet(set);
      for (const { name: agent, agent: running } of world.agents) {
        const reports = running?.hosting.reports() ?? [];
        checkAgent(agent, replicasOf(reports.filter(({ state }) => state !== "stopping")));
      }
      for (const { name: client, sqwish } of world.clients) {
        if (!sqwish?.connected) fail(`${client} is not connected`);
      }
    },
  };
}

function replicasOf(replicas: readonly { replicaSet: string; revision: number }[]): string {
  return replicas.map(({ replicaSet, revision }) => `${replicaSet} ${revision}`).sort().join();
}

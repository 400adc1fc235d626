/**
 * A rollout that goes on gets ahead: while a replica of it is on its way on a healthy agent, one more is available, or it
 * has failed, within its `deadlineMs`; while none is, it says what it waits for, or goes on once a canary's stage or
 * the judge's wait is over. So it ends in done, paused or rolled back; `converges` says that it does at the end.
 * Nor does it fail by its deadline too early: it has all of it from when it goes on after a pause, and from when an agent
 * is back, for the first time since it began, that has a replica of it to start. Later returns of that agent are none.
 */
import type { AgentRecord } from "../../../lib/cluster/agents.ts";
import { fitsPlacement } from "../../../lib/deployment/placement.ts";
import type { RolloutRecord } from "../../../lib/deployment/plan.ts";
import { limits } from "../../../lib/limits.ts";
import type { StoredSet } from "../../../lib/store/deployments.ts";
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

/** How much later than it must a rollout may end; seconds are what is looked at. */
const graceMs = 2000;

interface Watch {
  /** The rollout, its stage and whether something is on its way. */
  what: string;
  availableMax: number;
  /** On the manager's clock. */
  sinceMs: number;
  /** Agents whose return has put it ahead. */
  returned: ReadonlySet<string>;
}

/** Events of an agent that is well again. */
const comebacks = new Set(["agent_joined", "agent_returned", "agent_ready"]);

export function rolloutsEnd(world: World): Checker {
  const name = "rollouts end";
  let watches = new Map<string, Watch>();
  /** Of each agent, what it last called ready. */
  const ready = new Map<string, Set<string>>();
  /** By set, when a rollout of it went on last. On the manager's clock. */
  const resumedAtMs = new Map<string, number>();
  /** By agent, when it was well again, and by set, when its rollout began. On the manager's clock. */
  const backAtMs = new Map<string, number[]>();
  const begunAtMs = new Map<string, number>();

  function look(set: StoredSet, rollout: Readonly<RolloutRecord>, nowMs: number): void {
    const { controller, agents } = world.manager.core;
    const { minReadyMs, deadlineMs, steps = [] } = set.current.specification.rollout;
    const holders = agents.list().filter((agent) =>
      agent.health === "ready" &&
      controller.assignments(agent.name).some((one) =>
        one.replicaSet === set.name && one.revision === rollout.toRevision
      )
    );
    const isAvailable = ({ reports }: AgentRecord) =>
      reports.some(({ replicaSet, revision, readySinceMs }) =>
        replicaSet === set.name && revision === rollout.toRevision && readySinceMs !== undefined &&
        nowMs - readySinceMs >= minReadyMs
      );
    const available = holders.filter(isAvailable).length;
    const isRising = available < holders.length;
    const what = `${rollout.toRevision} ${rollout.startedAtMs} ${rollout.step} ${isRising}`;
    const watch = watches.get(set.name);
    // Agents that may come back are waited for until others take over.
    const { placement } = set.current.specification;
    const isAway = agents.list().some((agent) =>
      agent.health !== "ready" && fitsPlacement(agent.labels, placement)
    );
    const isExcused = !isRising && (isAway || controller.pendingReason(set.name) !== undefined);
    const before = watch?.what === what ? watch : undefined;
    const isMore = before !== undefined && available > before.availableMax;
    const back = holders.filter((agent) =>
      before && !isAvailable(agent) && agent.healthSinceMs > before.sinceMs &&
      !before.returned.has(agent.name)
    ).map(({ name }) => name);
    if (!before || isMore || isExcused || back.length > 0) {
      const availableMax = Math.max(before?.availableMax ?? 0, available);
      const returned = new Set(isMore ? [] : [...before?.returned ?? [], ...back]);
      watches.set(set.name, { what, availableMax, sinceMs: nowMs, returned });
      return;
    }
    const holdMs = rollout.step === undefined ? 0 : steps[rollout.step]?.holdMs ?? 0;
    const allowedMs = (isRising ? deadlineMs : Math.max(limits.judgeWaitMs, holdMs)) + graceMs;
    if (nowMs - before.sinceMs <= allowedMs) return;
    world.fail(
      name,
      `the rollout of ${set.name} to revision ${rollout.toRevision} has not got ahead for ` +
        `${Math.round(nowMs - before.sinceMs)} ms, ${isRising ? "with" : "without"} a replica on its way`,
    );
  }

  /** No deadline ends one before its time. As the plan adds it up: a difference may be a rounding error short of it. */
  function checkEnd(set: string, message: string, nowMs: number): void {
    const [, deadline, waiting] = /No progress for (\d+) ms \((.*)\)$/.exec(message) ?? [];
    if (deadline === undefined) return;
    const isEarly = (sinceMs: number | undefined) =>
      sinceMs !== undefined && nowMs < sinceMs + Number(deadline);
    const resumed = resumedAtMs.get(set);
    if (isEarly(resumed)) world.fail(name, `${message}; it went on ${Math.round(nowMs - resumed!)} ms ago`);
    for (const [, agent] of waiting.matchAll(/(?:^|, )(agent\d+): /g)) {
      const back = backAtMs.get(agent)?.filter((atMs) => atMs >= (begunAtMs.get(set) ?? 0)) ?? [];
      if (back.length !== 1 || !isEarly(back[0])) continue;
      world.fail(name, `${message}; ${agent} was back ${Math.round(nowMs - back[0])} ms ago`);
    }
  }

  return {
    name,
    managerStarted() {
      watches.clear();
      ready.clear();
      resumedAtMs.clear();
      backAtMs.clear();
      begunAtMs.clear();
    },
    /** A rollout may be paused and go on again between two looks. */
    eventRecorded({ kind, subject, message }) {
      const nowMs = world.manager.process!.clock.monotonicMs();
      if (kind === "rollout_resumed") {
        resumedAtMs.set(subject, nowMs);
        watches.delete(subject);
      }
      if (kind === "rollout_started") begunAtMs.set(subject, nowMs);
      if (comebacks.has(kind)) backAtMs.set(subject, [...backAtMs.get(subject) ?? [], nowMs]);
      if (kind === "rollout_failed") checkEnd(subject, message, nowMs);
    },
    /** A replica that was ready for less than a second counts, too: its time begins anew when it is started again. */
    managerGotMessage({ name: agent }, message) {
      if (message.type !== "state") return;
      const now = message.replicas.filter(({ state }) => state === "ready");
      const before = ready.get(agent);
      for (const { replicaSet, revision } of now) {
        if (!before?.has(`${replicaSet} ${revision}`)) watches.delete(replicaSet);
      }
      ready.set(agent, new Set(now.map(({ replicaSet, revision }) => `${replicaSet} ${revision}`)));
    },
    tick() {
      if (!world.manager.isUp) return;
      const { controller } = world.manager.core;
      const nowMs = world.manager.process!.clock.monotonicMs();
      const underWay = new Map<string, Watch>();
      for (const set of controller.sets) {
        const rollout = controller.rollout(set.name);
        if (rollout?.state !== "progressing") continue;
        look(set, rollout, nowMs);
        const watch = watches.get(set.name);
        if (watch) underWay.set(set.name, watch);
      }
      watches = underWay;
    },
  };
}

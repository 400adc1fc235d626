// @ts-check
/** What every view of rollouts asks of one, and the question for all of them, asked no more often than answers change. */
import { getRollouts } from "./api.js";

/**
 * @typedef {import("../lib/protocol/views.ts").PastRolloutView} PastRolloutView
 * @typedef {import("../lib/protocol/views.ts").OverviewView} OverviewView
 */

const pollMs = 3000;
/** Answers may still undo one that is done for this long. */
export const judgedAfterMs = 600_000;

/** @param {{ state: string } | undefined} rollout */
export function isUnderWay(rollout) {
  return rollout?.state === "progressing" || rollout?.state === "paused";
}

/** @param {{ fromRevision: number, toRevision: number }} rollout */
export function wayOf({ fromRevision, toRevision }) {
  return fromRevision > 0 ? `r${fromRevision} → r${toRevision}` : `r${toRevision}`;
}

/** @param {PastRolloutView} rollout @param {number} nowMs */
export function tookMs({ startedAtMs, endedAtMs, state }, nowMs) {
  if (endedAtMs !== undefined) return Math.max(0, endedAtMs - startedAtMs);
  return state === "replaced" ? undefined : Math.max(0, nowMs - startedAtMs);
}

/** Whether nothing is told of it any more but what is known. @param {PastRolloutView} rollout @param {number} nowMs */
function isSettled(rollout, nowMs) {
  return !isUnderWay(rollout) && nowMs - (rollout.endedAtMs ?? rollout.startedAtMs) > judgedAfterMs;
}

/**
 * Asks for rollouts: when the overview says another word of them, and now and then while one is under way or judged.
 * @param {string | undefined} replicaSet
 * @param {(rollouts: PastRolloutView[]) => void | Promise<void>} show called with each answer; when it fails, all is asked again
 * @param {() => number | undefined} [untilMs] only those that began before it
 */
export function createPoll(replicaSet, show, untilMs = () => undefined) {
  let polledAt = -Infinity;
  let isPolling = false;
  let isAllSettled = false;
  /** What the overview said of them when they were asked for, and of which time. */
  let known = "";
  return {
    /** @param {OverviewView} overview */
    async update({ cluster, replicaSets }) {
      const words = replicaSets.map(({ rollout }) =>
        `${rollout?.startedAtMs} ${rollout?.state} ${rollout?.step}`
      );
      const about = { replicaSet, untilMs: untilMs() };
      const now = [about.untilMs, ...words].join();
      const isQuiet = isAllSettled || performance.now() - polledAt < pollMs;
      if (isPolling || now === known && isQuiet) return;
      isPolling = true;
      isAllSettled = false;
      known = now;
      polledAt = performance.now();
      try {
        const answer = await getRollouts(about);
        await show(answer);
        isAllSettled = answer.every((rollout) => isSettled(rollout, cluster.atMs));
      } catch {
        // The mark beside the title says when the manager is away; the next round tries again.
      } finally {
        isPolling = false;
      }
    },
  };
}

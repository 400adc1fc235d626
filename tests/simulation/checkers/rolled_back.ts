/**
 * A rollout that failed goes back to what served before it, and to nothing else: the revision of the last rollout that
 * was done, or, when that is the one that failed, the one before. Known from the events, and after a crash from the store.
 */
import type { Checker, RecordedEvent } from "../observer.ts";
import type { World } from "../world.ts";

interface History {
  /** The revision of the last rollout that was done. */
  good?: number;
  /** What was good when the last rollout began, if that was another. */
  before?: number;
  /** Of the last rollout, once it has failed. */
  failed?: { revision: number; expected: number | undefined };
}

export function rolledBack(world: World): Checker {
  const name = "rolled back";
  let histories = new Map<string, History>();
  /** What each agent was told last. */
  const told = new Map<string, Set<string>>();

  /** What a crash has left is what counts; what was about to be stored is decided anew. */
  function recall(): void {
    histories = new Map(
      world.manager.store.deployments.loadAll().map((set): [string, History] => {
        const { rollout, current } = set;
        const good = set.good?.revision;
        const history: History = { good, before: rollout?.fallback };
        if (rollout?.state === "failed" && rollout.toRevision === current.revision) {
          const expected = good === rollout.toRevision ? rollout.fallback ?? good : good;
          history.failed = { revision: rollout.toRevision, expected };
        }
        return [set.name, history];
      }),
    );
  }

  function fail(set: string, history: History, { message }: RecordedEvent): void {
    const revision = revisionIn(message);
    const known = history.failed?.revision === revision ? history.failed : undefined;
    const expected = known
      ? known.expected
      : history.good === revision
      ? history.before ?? revision
      : history.good;
    history.failed = { revision, expected };
    if (history.good === revision) history.good = expected;
    const words = expected === undefined
      ? "there is no earlier good revision"
      : expected === revision
      ? "it stays"
      : `going back to revision ${expected}:`;
    if (!message.includes(words)) {
      world.fail(name, `${set} should go back to revision ${expected}, but: ${message}`);
    }
  }

  return {
    name,
    managerStarted: recall,
    eventRecorded(event) {
      const { kind, subject, message } = event;
      if (kind === "replica_set_deleted") histories.delete(subject);
      if (!kind.startsWith("rollout_")) return;
      const history = histories.get(subject) ?? {};
      histories.set(subject, history);
      if (kind === "rollout_started") {
        const revision = revisionIn(message);
        history.before = history.good === revision ? undefined : history.good;
        history.failed = undefined;
      } else if (kind === "rollout_done") {
        history.good = revisionIn(message);
      } else if (kind === "rollout_failed") {
        fail(subject, history, event);
      }
    },
    managerSentMessage({ name: agent }, message) {
      if (message.type !== "desired" || !world.manager.isUp) return;
      const reports = world.manager.core.agents.get(agent)?.reports ?? [];
      const before = told.get(agent);
      for (const { replicaSet, revision } of message.replicas) {
        const failed = histories.get(replicaSet)?.failed;
        if (!failed || revision === failed.expected || before?.has(`${replicaSet} ${revision}`)) continue;
        if (reports.some((one) => one.replicaSet === replicaSet && one.revision === revision)) continue;
        world.fail(
          name,
          `${agent} is given revision ${revision} of ${replicaSet}, whose revision ${failed.revision} has failed; ` +
            `revision ${failed.expected} served before`,
        );
      }
      told.set(agent, new Set(message.replicas.map((one) => `${one.replicaSet} ${one.revision}`)));
    },
    converged() {
      const { controller, agents } = world.manager.core;
      for (const [set, { failed }] of histories) {
        // What can't be placed leaves what serves where it is.
        if (failed?.expected === undefined || controller.pendingReason(set) !== undefined) continue;
        for (const { name: agent, cordoned } of agents.list()) {
          const other = controller.assignments(agent).find(({ replicaSet, revision }) =>
            replicaSet === set && revision !== failed.expected
          );
          if (!other || cordoned) continue;
          world.fail(
            name,
            `${agent} still runs revision ${other.revision} of ${set}, which went back to ${failed.expected}`,
          );
        }
      }
    },
  };
}

/** The first that an event about a rollout names is the rollout's. */
function revisionIn(message: string): number {
  return Number(/revision (\d+)/i.exec(message)![1]);
}

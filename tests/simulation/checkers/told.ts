/**
 * No decision without its event: agents that join, return, are suspect or lost, changes of what shall run, and every
 * step of a rollout. What the store holds after a crash was told, too.
 */
import type { AgentHealth } from "../../../lib/protocol/views.ts";
import type { StoredSet } from "../../../lib/store/deployments.ts";
import type { Checker, RecordedEvent } from "../observer.ts";
import type { World } from "../world.ts";

export function told(world: World): Checker {
  const name = "told";
  /** Kinds of events about an agent since its health was last looked at. */
  const ofAgents = new Map<string, Set<string>>();
  /** Kinds of events about a set, with the revision or number that they are about. */
  const ofSets = new Set<string>();
  let health = new Map<string, AgentHealth>();
  /** What was stored at the last look, by set. */
  let stored = new Map<string, StoredSet>();
  let setWrites = 0;

  function checkAgents(): void {
    const now = new Map(world.manager.core.agents.list().map((agent) => [agent.name, agent.health]));
    for (const [agent, is] of now) {
      const before = health.get(agent);
      if (before === is) continue;
      const kinds = is === "ready" ? ["agent_ready", "agent_joined", "agent_returned"] : [`agent_${is}`];
      if (before !== undefined && !kinds.some((kind) => ofAgents.get(agent)?.has(kind))) {
        world.fail(name, `${agent} went from ${before} to ${is} and no event says so`);
      }
      ofAgents.delete(agent);
    }
    health = now;
  }

  function checkSet(is: StoredSet, before: StoredSet | undefined): void {
    const was = (...kinds: string[]) => kinds.some((kind) => ofSets.has(`${is.name} ${kind}`));
    const { revision } = is.current;
    if (before?.current.revision !== revision && !was(`deployed ${revision}`, `rollout_undone ${revision}`)) {
      world.fail(name, `${is.name} got revision ${revision} and no event says so`);
    }
    const { replicasOverride } = is;
    if (
      replicasOverride !== undefined && before?.replicasOverride !== replicasOverride &&
      !was(`scaled ${replicasOverride}`)
    ) {
      world.fail(name, `${is.name} was scaled to ${replicasOverride} and no event says so`);
    }
    const { rollout } = is;
    if (
      !rollout || rollout.state === before?.rollout?.state && rollout.toRevision === before.rollout.toRevision
    ) return;
    const kind = {
      progressing: "rollout_started",
      done: "rollout_done",
      failed: "rollout_failed",
    }[rollout.state as string];
    if (kind !== undefined && !was(`${kind} ${rollout.toRevision}`)) {
      world.fail(
        name,
        `the rollout of ${is.name} to ${rollout.toRevision} is ${rollout.state} and no event says so`,
      );
    }
  }

  function checkSets(): void {
    if (setWrites === world.manager.setWrites) return;
    setWrites = world.manager.setWrites;
    const now = new Map(world.manager.store.deployments.loadAll().map((set) => [set.name, set]));
    for (const [set, is] of now) checkSet(is, stored.get(set));
    for (const set of stored.keys()) {
      if (now.has(set) || ofSets.has(`${set} replica_set_deleted`)) continue;
      world.fail(name, `${set} was deleted and no event says so`);
    }
    stored = now;
  }

  return {
    name,
    eventRecorded(event) {
      ofSets.add(`${event.subject} ${event.kind}${aboutOf(event)}`);
      const kinds = ofAgents.get(event.subject);
      if (kinds) kinds.add(event.kind);
      else ofAgents.set(event.subject, new Set([event.kind]));
    },
    managerEnded() {
      health = new Map();
    },
    managerSentMessage({ kind, name: agent }, message) {
      if (message.type !== "welcome" || kind !== "agent") return;
      if (ofAgents.get(agent)?.has("agent_joined") || ofAgents.get(agent)?.has("agent_returned")) return;
      world.fail(name, `${agent} was let in and no event says so`);
    },
    tick() {
      checkSets();
      if (world.manager.isUp) checkAgents();
    },
  };
}

/** The revision that an event about a set names first, or the number it was scaled to. */
function aboutOf({ kind, message }: RecordedEvent): string {
  const found = kind === "scaled" ? /to (\w+)$/.exec(message) : /revision (\d+)/i.exec(message);
  return found && kind !== "replica_set_deleted" ? ` ${found[1]}` : "";
}

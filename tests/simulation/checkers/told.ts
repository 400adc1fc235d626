/**
 * No decision without its event: agents that join, return, are suspect or lost, and every step of a rollout. What the
 * store holds after a crash was told, too.
 */
import type { AgentHealth } from "../../../lib/protocol/views.ts";
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

export function told(world: World): Checker {
  const name = "told";
  /** Kinds of events since the last tick, by subject. */
  let recorded = new Map<string, string[]>();
  let health = new Map<string, AgentHealth>();
  /** What was stored at the last tick, by set. */
  let stored = new Map<string, { revision: number; state: string; replicas: string }>();

  function was(subject: string, ...kinds: string[]): boolean {
    return recorded.get(subject)?.some((kind) => kinds.includes(kind)) ?? false;
  }

  function checkAgents(): void {
    const now = new Map(world.manager.core.agents.list().map((agent) => [agent.name, agent.health]));
    for (const [agent, is] of now) {
      const before = health.get(agent);
      if (before === undefined || before === is) continue;
      const kinds = is === "ready"
        ? ["agent_ready", "agent_joined", "agent_returned"]
        : [`agent_${is}`, "agent_returned"];
      if (!was(agent, ...kinds)) {
        world.fail(name, `${agent} went from ${before} to ${is} and no event says so`);
      }
    }
    health = now;
  }

  function checkSets(): void {
    const now = new Map(
      world.manager.store.deployments.loadAll().map((set) => [set.name, {
        revision: set.current.revision,
        state: `${set.rollout?.toRevision} ${set.rollout?.state}`,
        replicas: String(set.replicasOverride),
      }]),
    );
    for (const [set, is] of now) {
      const before = stored.get(set);
      if (!before || before.revision !== is.revision) {
        if (!was(set, "deployed", "rollout_undone")) {
          world.fail(name, `${set} got revision ${is.revision} unheard`);
        }
      } else if (before.replicas !== is.replicas && !was(set, "scaled", "deployed")) {
        world.fail(name, `${set} was scaled to ${is.replicas} unheard`);
      }
      if (before?.state === is.state || is.state.startsWith("undefined")) continue;
      if (!was(set, "rollout_started", "rollout_done", "rollout_failed", "rollout_undone", "deployed")) {
        world.fail(name, `the rollout of ${set} went from ${before?.state} to ${is.state} unheard`);
      }
      const end = is.state.endsWith("done")
        ? "rollout_done"
        : is.state.endsWith("failed")
        ? "rollout_failed"
        : null;
      if (end && !was(set, end)) {
        world.fail(name, `the rollout of ${set} ended, ${is.state}, and no event says so`);
      }
    }
    for (const set of stored.keys()) {
      if (!now.has(set) && !was(set, "replica_set_deleted")) world.fail(name, `${set} was deleted unheard`);
    }
    stored = now;
  }

  return {
    name,
    eventRecorded({ kind, subject }) {
      const kinds = recorded.get(subject);
      if (kinds) kinds.push(kind);
      else recorded.set(subject, [kind]);
    },
    managerEnded() {
      health = new Map();
    },
    managerSentMessage({ kind, name: agent }, message) {
      if (message.type !== "welcome" || kind !== "agent") return;
      if (!was(agent, "agent_joined", "agent_returned")) {
        world.fail(name, `${agent} was let in and no event says so`);
      }
    },
    tick() {
      checkSets();
      if (!world.manager.isUp) return;
      checkAgents();
      recorded = new Map();
    },
  };
}

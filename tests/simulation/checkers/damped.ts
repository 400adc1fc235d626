/**
 * Whoever is lost again and again is asked last: an agent with four losses within half a minute gets no request that
 * another replica of the same revision could have taken at once. Losses are counted here anew, from the manager's events.
 */
import { frameB, frameOp, Op } from "../../../lib/protocol/frame.ts";
import { endpointIn } from "../modules.ts";
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

/** So many losses in this time damp, and for longer than this (`lib/limits.ts`: dampingPenalty, dampingHalfLifeMs). */
const losses = 4;
const withinMs = 30_000;
/** With nothing heard from anybody for so long, the manager may have stood still, and losses are nobody's fault. */
const silenceMs = 500;
const forgivenMs = 3100;

export function damped(world: World): Checker {
  const name = "damped last";
  const lostMs = new Map<string, number[]>();
  const leaving = new Set<string>();
  let heardMs = 0;
  let silentMs = -Infinity;

  function hear(): void {
    const { nowMs } = world.timeline;
    if (nowMs - heardMs > silenceMs) {
      silentMs = nowMs;
      lostMs.clear();
    }
    heardMs = nowMs;
  }

  function isFlapping(agent: string): boolean {
    const times = lostMs.get(agent) ?? [];
    return times.length >= losses && times.at(-losses)! > world.timeline.nowMs - withinMs;
  }

  return {
    name,
    managerStarted() {
      lostMs.clear();
      leaving.clear();
      silentMs = world.timeline.nowMs;
    },
    managerGotMessage: hear,
    managerGot: hear,
    eventRecorded({ kind, subject }) {
      if (kind === "agent_leaving") leaving.add(subject);
      if (kind === "agent_joined" || kind === "agent_returned") leaving.delete(subject);
      if (kind !== "agent_lost" || leaving.has(subject)) return;
      hear();
      // Who is drained is sent away, so that what breaks there is no loss.
      if (world.manager.core.agents.get(subject)?.draining) return;
      if (world.timeline.nowMs - silentMs < forgivenMs) return;
      lostMs.set(subject, [...lostMs.get(subject) ?? [], world.timeline.nowMs]);
    },
    managerSent({ kind, name: agent }, bytes, at) {
      if (kind !== "agent" || frameOp(bytes, at) !== Op.request || !isFlapping(agent)) return;
      const { agents, controller, dispatcher } = world.manager.core;
      const endpoint = endpointIn(bytes, at);
      const handle = frameB(bytes, at) >>> 8;
      const routed = controller.routes.endpoints.get(endpoint)?.replicas ?? [];
      const chosen = routed.find((replica) => replica.agent === agent && replica.handle === handle);
      const others = routed.filter((replica) =>
        replica.agent !== agent && replica.revision === chosen?.revision && !agents.get(replica.agent)!.damped
      );
      const better = dispatcher.snapshot().replicas.find((one) =>
        one.available && one.outstanding < one.slots &&
        others.some((other) =>
          other.agent === one.agent && other.replicaSet === one.replicaSet && other.revision === one.revision
        )
      );
      if (better === undefined) return;
      world.fail(
        name,
        `${agent} was lost ${
          lostMs.get(agent)!.length
        } times and was sent ${endpoint}, ${better.agent} had free slots`,
      );
    },
  };
}

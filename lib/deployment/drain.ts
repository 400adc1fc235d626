/**
 * What a drain would leave without a place: told to whoever asks for it, before anything moves. Pure.
 * The drain itself is planning: a drained agent takes nothing new, and what it runs is replaced elsewhere first.
 */
import type { Revision } from "../protocol/revision.ts";
import type { AgentFacts } from "./facts.ts";
import { fitsPlacement } from "./placement.ts";

type Machine = Pick<AgentFacts, "name" | "health" | "cordoned" | "draining" | "labels">;

/** One warning for each set that runs on the agent and fits no other that takes replicas. */
export function drainWarnings(
  agent: string,
  running: readonly Revision[],
  agents: readonly Machine[],
): string[] {
  const open = agents.filter((other) =>
    other.name !== agent && other.health === "ready" && !other.cordoned && !other.draining
  );
  return running.filter(({ specification }) =>
    !open.some(({ labels }) => fitsPlacement(labels, specification.placement))
  ).map(({ replicaSet }) =>
    open.length === 0
      ? `${agent} is the last agent that takes replicas: ${replicaSet} ends there and waits for another`
      : `no other agent may run ${replicaSet}: it ends on ${agent} and waits for one that may`
  );
}

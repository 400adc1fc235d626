/**
 * Gentle rebalancing: at most one replica in the cluster moves at a time, and only when nothing else is going on.
 * Part of the plan's step: replicas at rest → here → one set's `relieved` agent → `replicas.ts` replaces what it runs.
 * Each move makes the replicas' spread, or else the sum of load² / cores, strictly smaller, so moves come to an end and
 * never go back and forth.
 */
import { limits } from "../limits.ts";
import type { Revision } from "../protocol/revision.ts";
import type { AgentFacts, Holding, Move } from "./facts.ts";
import { fitsPlacement, isAvailable, type RoomOn, takesNew } from "./placement.ts";

/** A set at rest: no rollout, nothing pending. */
export interface SettledSet {
  name: string;
  target: Revision;
  holdings: Holding[];
  roomOn: RoomOn;
}

export interface RebalanceFacts {
  nowMs: number;
  agents: AgentFacts[];
  /** Replicas of all sets by agent. */
  load: ReadonlyMap<string, number>;
  sets: SettledSet[];
  /** The last move. */
  move?: Move;
}

/** True while its agent still runs the replica, the other can take it, and it has not taken longer than a rollout may. */
export function isUnderWay(
  move: Move,
  holdings: Holding[],
  agents: AgentFacts[],
  nowMs: number,
): boolean {
  if (nowMs >= move.untilMs) return false;
  const to = agents.find(({ name }) => name === move.to);
  if (!to || to.health === "lost" || to.cordoned || to.draining || to.damped) return false;
  return holdings.some(({ agent, revision }) => agent.name === move.from && revision === move.revision);
}

/** The next move; undefined when nothing is to be gained, or it is too soon after the last. */
export function chooseMove(facts: RebalanceFacts): Move | undefined {
  const { move, nowMs } = facts;
  if (move && (move.endedAtMs === undefined || nowMs < move.endedAtMs + limits.rebalanceEveryMs)) {
    return undefined;
  }
  let best: { gain: [number, number]; move: Move } | undefined;
  for (const set of facts.sets) {
    const { specification } = set.target;
    const { placement, rollout } = specification;
    const atRest = set.holdings.every((holding) =>
      holding.revision === set.target.revision && isAvailable(holding, rollout.minReadyMs, nowMs) &&
      fitsPlacement(holding.agent.labels, placement)
    );
    if (!atRest) continue;
    const holders = new Set(set.holdings.map(({ agent }) => agent.name));
    const open = facts.agents.filter((agent) =>
      !holders.has(agent.name) && !agent.damped && isSteady(agent, nowMs) &&
      takesNew(agent, specification, set.roomOn)
    );
    for (const { agent: from } of set.holdings) {
      for (const to of open) {
        const gain = gainOf(facts, set, from, to);
        if (isBetter(gain, best?.gain ?? [0, 0])) {
          best = { gain, move: moveOf(set, from, to, nowMs) };
        }
      }
    }
  }
  return best?.move;
}

function moveOf({ name, target }: SettledSet, from: AgentFacts, to: AgentFacts, nowMs: number): Move {
  return {
    replicaSet: name,
    revision: target.revision,
    from: from.name,
    to: to.name,
    untilMs: nowMs + target.specification.rollout.deadlineMs,
  };
}

/** When an agent that has just come counts as steady, monotonic ms; the latest of those still ahead is left out. */
export function steadyAtMs(agents: AgentFacts[], nowMs: number): number[] {
  return agents.filter((agent) => !isSteady(agent, nowMs)).map((agent) =>
    agent.healthSinceMs! + limits.rebalanceEveryMs
  );
}

/** An agent that comes and goes gets nothing moved to it. */
function isSteady({ healthSinceMs }: AgentFacts, nowMs: number): boolean {
  return healthSinceMs === undefined || nowMs >= healthSinceMs + limits.rebalanceEveryMs;
}

/** How much smaller the sum of squares of the spread, and the sum of load² / cores, would be. */
function gainOf(
  { load }: RebalanceFacts,
  { holdings, target }: SettledSet,
  from: AgentFacts,
  to: AgentFacts,
): [number, number] {
  const label = target.specification.spread;
  const crowd = (agent: AgentFacts) =>
    label === undefined
      ? 0
      : holdings.filter((holding) => holding.agent.labels[label] === agent.labels[label]).length;
  const isSameValue = label === undefined || from.labels[label] === to.labels[label];
  const spread = isSameValue ? 0 : 2 * (crowd(from) - crowd(to)) - 2;
  const loadFrom = load.get(from.name) ?? 0;
  const loadTo = load.get(to.name) ?? 0;
  const even = (2 * loadFrom - 1) / Math.max(1, from.cores) - (2 * loadTo + 1) / Math.max(1, to.cores);
  return [spread, even];
}

/** By spread first; differences of rounding are none. */
function isBetter(gain: [number, number], best: [number, number]): boolean {
  if (gain[0] !== best[0]) return gain[0] > best[0];
  return gain[1] > best[1] + 1e-9;
}

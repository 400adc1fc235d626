/**
 * What one set has and may have, counted once for the steps that plan its replicas. Pure.
 * Part of the plan's step: holdings and agents → here → `replicas.ts`, which keeps, starts and takes away.
 */
import type { Revision } from "../protocol/revision.ts";
import type { AgentFacts, Holding } from "./facts.ts";
import {
  byDamping,
  byLoad,
  fitsPlacement,
  isAvailable,
  isServing,
  mayReturn,
  type RoomOn,
  takesNew,
  takeSpread,
} from "./placement.ts";

/** How far a rollout may go for now. */
export interface Limit {
  /** A canary's part of the wanted. */
  share?: number;
  /** Not beyond what has begun. */
  isFrozen: boolean;
}

export interface ReplicasInput {
  /** The revision that shall run. */
  target: Revision;
  /** The revision that is known to work: replicas of others are not worth waiting for. */
  good?: Revision;
  /** Replicas beyond it stay with, or are given, the good revision. */
  limit?: Limit;
  replicas: number | "all";
  /** Agents that are not lost for good. */
  agents: AgentFacts[];
  /** Every agent, for words about those that can't help. */
  everyAgent: AgentFacts[];
  holdings: Holding[];
  /** Replicas of all sets by agent; brought up to date by this call. */
  load: Map<string, number>;
  roomOn: RoomOn;
  /** An agent whose replica shall go to another. */
  move?: { from: string; to: string };
  nowMs: number;
  /** The target's replicas stand in for no others yet. */
  isUndecided?: boolean;
  /** False: agents that ran it may still come back, so nobody else is given one. */
  mayPlaceAnew: boolean;
}

/** Read, and narrowed, by one step after the other. */
export interface Situation {
  input: ReplicasInput;
  wanted: number;
  /** Wanted, as far as there are agents that run or could run any revision. */
  reachable: number;
  /** The most replicas of the target for now. */
  ofTargetMax: number;
  surge: number;
  maxUnavailable: number;
  /** Agents that may be given the target now. */
  candidates: AgentFacts[];
  /** Agents that could run the target as soon as they are well again. */
  returning: AgentFacts[];
  available: Holding[];
  /** Of the target, not available yet. */
  rising: Holding[];
  /** Of other revisions, or on agents that are to be left; at most one on each agent. */
  others: Holding[];
}

export function assess(input: ReplicasInput): Situation {
  const { target, agents, holdings, nowMs, roomOn } = input;
  const { specification } = target;
  const { rollout, spread } = specification;
  const isLeft = (agent: AgentFacts) => agent.draining || agent.name === input.move?.from;
  const fitting = holdings.filter(({ revision, agent }) =>
    revision === target.revision && !isLeft(agent) && fitsPlacement(agent.labels, specification.placement)
  );
  const holders = new Set(fitting.map(({ agent }) => agent.name));
  const open = agents.filter((agent) => !holders.has(agent.name) && !isLeft(agent));
  const candidates = open.filter((agent) => takesNew(agent, specification, roomOn));
  const returning = open.filter((agent) => mayReturn(agent, specification, roomOn));
  // While a rollout is held, cordoned agents stay with the revision before it: they are some of all.
  const holding = input.limit === undefined
    ? []
    : open.filter((agent) =>
      agent.cordoned && fitsPlacement(agent.labels, specification.placement) &&
      holdings.some((one) => one.agent === agent)
    );
  const wanted = input.replicas === "all"
    ? fitting.length + candidates.length + returning.length + holding.length
    : input.replicas;
  const worth = (holding: Holding) =>
    !input.isUndecided && isAvailable(holding, rollout.minReadyMs, nowMs)
      ? 0
      : isServing(holding)
      ? (holding.unshown ? 2 : 1)
      : holding.state === "failed"
      ? 4
      : 3;
  const ofTargetMax = limitOf(input.limit, wanted, fitting.length);
  const order = byLoad(input.load);
  const ordered = fitting.toSorted((left, right) => order(left.agent, right.agent));
  // Of equals, the one on an agent that stays.
  const rank = (holding: Holding) => 2 * worth(holding) + byDamping(holding.agent);
  const best = takeSpread(ordered, ofTargetMax, { label: spread, taken: [] }, ({ agent }) => agent, rank);
  const others = holdings.filter((holding) => !fitting.includes(holding));
  // From a drained agent nothing is expected any more: with nobody to move to, its replica ends all the same.
  const staying = holdings.filter(({ agent }) => !agent.draining);
  // What a canary has beyond its stage, as after a return, is not let go before something else serves in its place.
  const beyond = comparesRevisions(input)
    ? fitting.filter((holding) => isServing(holding) && !best.includes(holding))
    : [];
  const possible = new Set([...staying.map(({ agent }) => agent), ...candidates, ...returning]);
  return {
    input,
    wanted,
    reachable: Math.min(wanted, possible.size),
    ofTargetMax,
    surge: rollout.maxSurge,
    maxUnavailable: rollout.maxUnavailable,
    candidates,
    returning,
    available: best.filter((holding) => worth(holding) === 0),
    rising: best.filter((holding) => worth(holding) > 0),
    others: onePerAgent([...others, ...beyond], input.good?.revision),
  };
}

function limitOf(limit: Limit | undefined, wanted: number, begun: number): number {
  if (limit === undefined) return wanted;
  const stage = limit.share === undefined ? wanted : Math.max(1, Math.ceil(wanted * limit.share));
  return Math.min(wanted, stage, limit.isFrozen ? begun : wanted);
}

/** The one worth keeping on each agent: what serves before what does not, the good revision before the newest. */
export function onePerAgent(others: Holding[], goodRevision: number | undefined): Holding[] {
  const rank = (holding: Holding) =>
    2 * (isServing(holding) ? Number(holding.unshown ?? false) : 2) +
    (holding.revision === goodRevision ? 0 : 1);
  const best = new Map<string, Holding>();
  for (
    const holding of others.toSorted((left, right) =>
      rank(left) - rank(right) || right.revision - left.revision
    )
  ) {
    if (!best.has(holding.agent.name)) best.set(holding.agent.name, holding);
  }
  return [...best.values()];
}

/** Two revisions share the requests. */
export function comparesRevisions({ limit }: ReplicasInput): boolean {
  return limit?.share !== undefined;
}

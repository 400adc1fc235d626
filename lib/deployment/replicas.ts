/**
 * One set's next replicas: which of those that run stay, and which agents get a new one. A whole rollout is this
 * step taken again and again: a new replica next to an old one, the old one gone once the new one is available.
 * Invariants: never more replicas than wanted + maxSurge; no serving replica is taken away while that would leave
 * fewer than wanted - maxUnavailable agents serving; at most one replica of one revision per agent.
 */
import type { Revision } from "../protocol/revision.ts";
import type { AgentFacts, Holding } from "./facts.ts";
import {
  byLoad,
  explainMissing,
  fitsPlacement,
  isAvailable,
  isServing,
  mayReturn,
  takesNew,
} from "./placement.ts";

export interface ReplicasInput {
  /** The revision that shall run. */
  target: Revision;
  /** The revision that is known to work: replicas of others are not worth waiting for. */
  goodRevision?: number;
  replicas: number | "all";
  /** Agents that are not lost for good. */
  agents: AgentFacts[];
  /** Every agent, for words about those that can't help. */
  everyAgent: AgentFacts[];
  holdings: Holding[];
  /** Replicas of all sets by agent; brought up to date by this call. */
  load: Map<string, number>;
  nowMs: number;
  /** False: agents that ran it may still come back, so nobody else is given one. */
  mayPlaceAnew: boolean;
}

export interface ReplicasPlan {
  kept: Holding[];
  /** Agents that get a replica of the target. */
  started: AgentFacts[];
  /** Replicas of the target that have served for long enough. */
  available: number;
  /** How many of the wanted there are agents for. */
  total: number;
  /** Nothing but the target runs, as far as there are agents for it. */
  settled: boolean;
  pending?: string;
}

/** What one set has and may have; counted once, read by each of the steps below. */
interface Situation {
  input: ReplicasInput;
  wanted: number;
  /** Wanted, as far as there are agents that run or could run any revision. */
  reachable: number;
  surge: number;
  maxUnavailable: number;
  /** Agents that may be given the target now. */
  candidates: AgentFacts[];
  /** Agents that could run the target as soon as they are well again. */
  returning: AgentFacts[];
  available: Holding[];
  /** Of the target, not available yet. */
  rising: Holding[];
  /** Of other revisions; at most one on each agent. */
  others: Holding[];
}

/** Plans one set. Deterministic: equal inputs give equal plans. */
export function planReplicas(input: ReplicasInput): ReplicasPlan {
  const situation = assess(input);
  keepWithinBounds(situation);
  const remaining = [...situation.available, ...situation.rising, ...situation.others];
  release(input.load, input.holdings, remaining);
  const started = startNew(situation);
  const { available, rising, others, wanted, candidates, returning } = situation;
  const kept = [...available, ...rising, ...others];
  release(input.load, remaining, kept);
  for (const { name } of started) input.load.set(name, (input.load.get(name) ?? 0) + 1);

  const ofTarget = available.length + rising.length + started.length;
  const capacity = available.length + rising.length + candidates.length + returning.length;
  const total = Math.min(wanted, capacity);
  const settled = others.length === 0 && available.length >= total && ofTarget === available.length &&
    (available.length > 0 || input.replicas === 0);
  return { kept, started, available: available.length, total, settled, ...pendingOf(situation, started) };
}

/** For a set that failed with nothing to go back to: what serves goes on, nothing new is tried. */
export function keepServing(input: ReplicasInput): Holding[] {
  const serving = input.holdings.filter(({ state }) => state === "ready");
  const wanted = input.replicas === "all" ? serving.length : input.replicas;
  const kept = onePerAgent(serving, input.goodRevision).slice(0, wanted);
  release(input.load, input.holdings, kept);
  return kept;
}

function assess(input: ReplicasInput): Situation {
  const { target, agents, holdings, nowMs } = input;
  const { placement, rollout } = target.specification;
  const fitting = holdings.filter(({ revision, agent }) =>
    revision === target.revision && fitsPlacement(agent.labels, placement)
  );
  const holders = new Set(fitting.map(({ agent }) => agent.name));
  const candidates = agents.filter((agent) => !holders.has(agent.name) && takesNew(agent, placement));
  const returning = agents.filter((agent) => !holders.has(agent.name) && mayReturn(agent, placement));
  const wanted = input.replicas === "all"
    ? fitting.length + candidates.length + returning.length
    : input.replicas;
  const order = byLoad(input.load);
  const worth = (holding: Holding) =>
    isAvailable(holding, rollout.minReadyMs, nowMs)
      ? 0
      : isServing(holding)
      ? 1
      : holding.state === "failed"
      ? 3
      : 2;
  const best = fitting.toSorted((left, right) => worth(left) - worth(right) || order(left.agent, right.agent))
    .slice(0, wanted);
  const others = holdings.filter(({ revision }) => revision !== target.revision);
  const possible = new Set([...holdings.map(({ agent }) => agent), ...candidates, ...returning]);
  return {
    input,
    wanted,
    reachable: Math.min(wanted, possible.size),
    surge: rollout.maxSurge,
    maxUnavailable: rollout.maxUnavailable,
    candidates,
    returning,
    available: best.filter((holding) => worth(holding) === 0),
    rising: best.filter((holding) => worth(holding) > 0),
    others: onePerAgent(others, input.goodRevision),
  };
}

/** The one worth keeping on each agent: what serves before what does not, the good revision before the newest. */
function onePerAgent(others: Holding[], goodRevision: number | undefined): Holding[] {
  const rank = (holding: Holding) =>
    (isServing(holding) ? 0 : 2) + (holding.revision === goodRevision ? 0 : 1);
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

/** Takes away what is no longer needed: first what does not serve, then what a new replica stands in for. */
function keepWithinBounds(situation: Situation): void {
  const { input, reachable, surge, available } = situation;
  const replaced = new Set(available.map(({ agent }) => agent.name));
  const candidates = situation.others.filter(({ agent, revision, state }) =>
    !replaced.has(agent.name) && (state === "ready" || revision === input.goodRevision)
  );
  const rising = new Set(situation.rising.map(({ agent }) => agent.name));
  const { placement } = input.target.specification;
  const order = byLoad(input.load);
  const preference = (holding: Holding) =>
    rising.has(holding.agent.name) ? 0 : takesNew(holding.agent, placement) ? 1 : 2;
  candidates.sort((left, right) => preference(left) - preference(right) || order(left.agent, right.agent));

  const needed = Math.max(0, reachable - available.length);
  const serving = candidates.filter(isServing).slice(0, needed);
  const serves = new Set(serving.map(({ agent }) => agent.name));
  const room = reachable + surge - available.length - serving.length;
  const keptRising = situation.rising
    .toSorted((left, right) => Number(serves.has(right.agent.name)) - Number(serves.has(left.agent.name)))
    .slice(0, Math.max(0, room));
  const idle = candidates.filter((holding) => !isServing(holding))
    .slice(0, Math.max(0, Math.min(needed - serving.length, room - keptRising.length)));
  situation.rising = keptRising;
  situation.others = [...serving, ...idle];
}

function startNew(situation: Situation): AgentFacts[] {
  const { input, wanted, reachable, surge, candidates, returning } = situation;
  const order = byLoad(input.load);
  const heldBy = new Set(situation.others.map(({ agent }) => agent.name));
  const beside = candidates.filter(({ name }) => heldBy.has(name)).toSorted(order);
  const anew = candidates.filter(({ name }) => !heldBy.has(name)).toSorted(order);
  const missing = wanted - situation.available.length - situation.rising.length;
  const reserved = returning.filter(({ name }) => heldBy.has(name)).length;
  const anewMax = input.mayPlaceAnew ? Math.max(0, missing - beside.length - reserved) : 0;

  const started: AgentFacts[] = [];
  for (const agent of [...beside, ...anew.slice(0, anewMax)].slice(0, Math.max(0, missing))) {
    const total = situation.available.length + situation.rising.length + situation.others.length +
      started.length;
    if (total >= reachable + surge && !(surge === 0 && makeRoom(situation, agent))) break;
    started.push(agent);
  }
  return started;
}

/** Without surge an old replica goes first: the agent's own, or the one least worth keeping. */
function makeRoom(situation: Situation, agent: AgentFacts): boolean {
  const { reachable, maxUnavailable, available } = situation;
  const leaving = situation.others.find((holding) => holding.agent.name === agent.name) ??
    situation.others.findLast((holding) => !isServing(holding)) ?? situation.others.at(-1);
  if (!leaving) return false;
  const serving = available.length + situation.others.filter(isServing).length;
  if (isServing(leaving) && serving - 1 < reachable - maxUnavailable) return false;
  situation.others = situation.others.filter((holding) => holding !== leaving);
  return true;
}

function pendingOf(situation: Situation, started: AgentFacts[]): { pending?: string } {
  const { input, wanted, available, rising, candidates } = situation;
  const holders = new Set([...available, ...rising].map(({ agent }) => agent.name));
  for (const { name } of started) holders.add(name);
  const missing = wanted - holders.size;
  const nobody = input.replicas === "all" && wanted === 0;
  if (!nobody && (missing <= 0 || input.replicas === "all")) return {};
  if (!input.mayPlaceAnew) return { pending: "Waiting for the agents that ran it to come back" };
  // Whoever is free now gets one as the rollout goes on.
  if (candidates.length > started.length) return {};
  const { placement } = input.target.specification;
  return { pending: explainMissing(missing, input.replicas, input.everyAgent, holders, placement) };
}

/** Takes what is no longer kept off its agents' load. */
function release(load: Map<string, number>, before: Holding[], kept: Holding[]): void {
  for (const holding of before) {
    const { name } = holding.agent;
    if (!kept.includes(holding)) load.set(name, (load.get(name) ?? 0) - 1);
  }
}

/**
 * One set's next replicas: which of those that run stay, and which agents get a new one. A whole rollout is this
 * step taken again and again: a new replica next to an old one, the old one gone once the new one is available. What
 * leaves a drained or relieved agent is replaced in the same way.
 * Invariants: never more replicas than wanted + maxSurge; no serving replica is taken away while that would leave
 * fewer than wanted - maxUnavailable agents serving; at most one replica of one revision per agent.
 */
import type { Revision } from "../protocol/revision.ts";
import type { AgentFacts, Holding } from "./facts.ts";
import {
  byDamping,
  byLoad,
  explainMissing,
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

export interface Started {
  agent: AgentFacts;
  revision: Revision;
}

export interface ReplicasPlan {
  kept: Holding[];
  /** Agents that get a replica, of the target or, beyond the limit, of the good revision. */
  started: Started[];
  /** Replicas of the target that have served for long enough. */
  available: number;
  /** How many of the wanted there are agents for. */
  total: number;
  /** As many of the target as the limit allows are available. */
  atLimit: boolean;
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

/** Plans one set. Deterministic: equal inputs give equal plans. */
export function planReplicas(input: ReplicasInput): ReplicasPlan {
  const situation = assess(input);
  keepWithinBounds(situation);
  const remaining = [...situation.available, ...situation.rising, ...situation.others];
  release(input.load, input.holdings, remaining);
  const ofTarget = startNew(situation);
  const ofGood = startGood(situation, ofTarget);
  const { available, rising, others, wanted, candidates, returning } = situation;
  const kept = [...available, ...rising, ...others];
  release(input.load, remaining, kept);
  const started = [
    ...ofTarget.map((agent) => ({ agent, revision: input.target })),
    ...ofGood.map((agent) => ({ agent, revision: input.good! })),
  ];
  for (const { agent } of started) input.load.set(agent.name, (input.load.get(agent.name) ?? 0) + 1);

  const running = available.length + rising.length + ofTarget.length;
  const capacity = available.length + rising.length + candidates.length + returning.length;
  const total = Math.min(wanted, capacity);
  const complete = available.length >= total && running === available.length &&
    (available.length > 0 || input.replicas === 0);
  return {
    kept,
    started,
    available: available.length,
    total,
    atLimit: available.length >= Math.min(situation.ofTargetMax, total) && running === available.length,
    settled: complete && others.length === 0 && input.limit === undefined,
    ...pendingOf(situation, ofTarget),
  };
}

/** For a set that failed with nothing to go back to: what serves goes on, nothing new is tried. */
export function keepServing(input: ReplicasInput): Holding[] {
  const serving = input.holdings.filter(({ state, agent }) => state === "ready" && !agent.draining);
  const wanted = input.replicas === "all" ? serving.length : input.replicas;
  const kept = onePerAgent(serving, input.good?.revision).sort(shownFirst).slice(0, wanted);
  release(input.load, input.holdings, kept);
  return kept;
}

function assess(input: ReplicasInput): Situation {
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
function onePerAgent(others: Holding[], goodRevision: number | undefined): Holding[] {
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

/** Takes away what is no longer needed: first what does not serve, then what a new replica stands in for. */
function keepWithinBounds(situation: Situation): void {
  const { input, reachable, surge, available } = situation;
  const replaced = new Set(available.map(({ agent }) => agent.name));
  const mayStay = situation.others.filter(({ agent, revision, state }) =>
    (!replaced.has(agent.name) || comparesRevisions(input)) &&
    (state === "ready" || revision === input.good?.revision)
  );
  const rising = new Set(situation.rising.map(({ agent }) => agent.name));
  const { specification } = input.target;
  const order = byLoad(input.load);
  const preference = ({ agent, revision }: Holding) => {
    if (replaced.has(agent.name)) return 4;
    if (agent.draining || revision === input.target.revision) return 3;
    if (rising.has(agent.name)) return 0;
    return takesNew(agent, specification, input.roomOn) ? 1 : 2;
  };
  mayStay.sort((left, right) =>
    shownFirst(left, right) || preference(left) - preference(right) || order(left.agent, right.agent)
  );

  const missing = Math.max(0, reachable - available.length);
  let room = reachable + surge - available.length;
  const kept = new Set<Holding>();
  const take = (from: Holding[], most = Infinity) => {
    const taken = from.filter((holding) => !kept.has(holding)).slice(0, Math.max(0, Math.min(most, room)));
    room -= taken.length;
    for (const holding of taken) kept.add(holding);
    return taken;
  };
  // What a canary has beside an available one serves where nothing is missing.
  const elsewhere = mayStay.filter(({ agent }) => !replaced.has(agent.name));
  const lacking = () => missing - others.filter((holding) => elsewhere.includes(holding)).length;
  const others = take(elsewhere.filter(isShown), missing);
  // A canary needs something to be compared with, also where the new revision alone would be enough.
  const isOld = ({ revision }: Holding) => revision !== input.target.revision;
  const lacksOld = () => comparesRevisions(input) && reachable > 0 && !others.some(isOld);
  if (lacksOld()) others.push(...take(mayStay.filter((holding) => isServing(holding) && isOld(holding)), 1));
  // First those that serve where nothing else does.
  const nearness = (holding: Holding) => {
    const isBeside = others.some(({ agent }) => agent === holding.agent);
    return isServing(holding) ? (isBeside ? 1 : 0) : isBeside ? 2 : 3;
  };
  const byNearness = () => situation.rising.toSorted((left, right) => nearness(left) - nearness(right));
  const keptRising = take(byNearness().filter(isShown));
  others.push(...take(elsewhere.filter(isServing), lacking()));
  keptRising.push(...take(byNearness()));
  others.push(...take(elsewhere.filter((holding) => !isServing(holding)), lacking()));
  if (lacksOld()) others.push(...take(mayStay.filter(isOld), 1));
  situation.rising = keptRising;
  situation.others = others;
}

function isShown(holding: Holding): boolean {
  return isServing(holding) && !holding.unshown;
}

/** What gets no requests yet stands in for nothing that does. */
function shownFirst(left: Holding, right: Holding): number {
  return Number(left.unshown ?? false) - Number(right.unshown ?? false);
}

/** Two revisions share the requests. */
function comparesRevisions({ limit }: ReplicasInput): boolean {
  return limit?.share !== undefined;
}

function startNew(situation: Situation): AgentFacts[] {
  const { input, reachable, surge, candidates, returning, ofTargetMax } = situation;
  const order = byLoad(input.load);
  const heldBy = new Set(situation.others.map(({ agent }) => agent.name));
  const beside = candidates.filter(({ name }) => heldBy.has(name)).toSorted(order);
  const anew = candidates.filter(({ name }) => !heldBy.has(name)).toSorted((left, right) =>
    Number(right.name === input.move?.to) - Number(left.name === input.move?.to) || order(left, right)
  );
  const missing = Math.max(0, ofTargetMax - situation.available.length - situation.rising.length);
  const reserved = returning.filter(({ name }) => heldBy.has(name)).length;
  const anewMax = input.mayPlaceAnew ? Math.max(0, missing - beside.length - reserved) : 0;
  const { spread } = input.target.specification;
  const taken = [...situation.available, ...situation.rising].map(({ agent }) => agent);
  const asked = takeSpread(
    [
      ...beside,
      ...takeSpread(anew, anewMax, { label: spread, taken: [...taken, ...beside] }, same, byDamping),
    ],
    missing,
    { label: spread, taken },
    same,
    byDamping,
  );

  const started: AgentFacts[] = [];
  for (const agent of asked) {
    const total = situation.available.length + situation.rising.length + situation.others.length +
      started.length;
    if (total >= reachable + surge && !(surge === 0 && makeRoom(situation, agent))) break;
    started.push(agent);
  }
  return started;
}

/** Where the target may not go yet and nothing runs, the good revision is started: an agent was lost, for instance. */
function startGood(situation: Situation, started: AgentFacts[]): AgentFacts[] {
  const { input, reachable, surge, available, rising, others } = situation;
  if (input.limit === undefined || !input.good || !input.mayPlaceAnew) return [];
  const { specification } = input.good;
  const busy = new Set([...available, ...rising, ...others].map(({ agent }) => agent.name));
  for (const { name } of started) busy.add(name);
  const open = input.agents.filter((agent) =>
    !busy.has(agent.name) && agent.name !== input.move?.from && takesNew(agent, specification, input.roomOn)
  ).toSorted(byLoad(input.load));
  const room = reachable + surge - available.length - rising.length - others.length - started.length;
  const missing = Math.max(0, Math.min(reachable - busy.size, room));
  return takeSpread(open, missing, { label: specification.spread, taken: [] }, same, byDamping);
}

function same(agent: AgentFacts): AgentFacts {
  return agent;
}

/** Without surge an old replica goes first: the agent's own, or the one least worth keeping. */
function makeRoom(situation: Situation, agent: AgentFacts): boolean {
  const { reachable, maxUnavailable, available } = situation;
  const leaving = situation.others.find((holding) => holding.agent.name === agent.name) ??
    situation.others.findLast((holding) => !isServing(holding)) ?? situation.others.at(-1);
  if (!leaving) return false;
  const serving = available.length + situation.others.filter(isShown).length;
  const left = leaving.unshown ? serving : serving - 1;
  if (isServing(leaving) && left < reachable - maxUnavailable) return false;
  situation.others = situation.others.filter((holding) => holding !== leaving);
  return true;
}

function pendingOf(situation: Situation, started: AgentFacts[]): { pending?: string } {
  const { input, wanted, available, rising, candidates } = situation;
  const holders = new Set([...available, ...rising].map(({ agent }) => agent.name));
  if (input.limit !== undefined) { for (const { agent } of situation.others) holders.add(agent.name); }
  for (const { name } of started) holders.add(name);
  const missing = wanted - holders.size;
  const nobody = input.replicas === "all" && wanted === 0;
  if (!nobody && (missing <= 0 || input.replicas === "all")) return {};
  if (!input.mayPlaceAnew) return { pending: "Waiting for the agents that ran it to come back" };
  // Whoever is free now gets one as the rollout goes on.
  if (candidates.length > started.length) return {};
  const { specification } = input.target;
  return {
    pending: explainMissing(
      missing,
      input.replicas,
      input.everyAgent,
      holders,
      specification,
      input.roomOn,
    ),
  };
}

/** Takes what is no longer kept off its agents' load. */
function release(load: Map<string, number>, before: Holding[], kept: Holding[]): void {
  for (const holding of before) {
    const { name } = holding.agent;
    if (!kept.includes(holding)) load.set(name, (load.get(name) ?? 0) - 1);
  }
}

/**
 * One set's next replicas: which of those that run stay, and which agents get a new one. A whole rollout is this
 * step taken again and again: a new replica next to an old one, the old one gone once the new one is available. What
 * leaves a drained or relieved agent is replaced in the same way.
 * Invariants: never more replicas than wanted + maxSurge; no serving replica is taken away while that would leave
 * fewer than wanted - maxUnavailable agents serving; at most one replica of one revision per agent.
 */
import type { Revision } from "../protocol/revision.ts";
import type { AgentFacts, Holding } from "./facts.ts";
import { byDamping, byLoad, explainMissing, isServing, isShown, takesNew, takeSpread } from "./placement.ts";
import { assess, comparesRevisions, onePerAgent, type ReplicasInput, type Situation } from "./situation.ts";

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
  const isElsewhere = ({ agent }: Holding) => !replaced.has(agent.name);
  const elsewhere = mayStay.filter(isElsewhere);
  const lacking = () => missing - others.filter(isElsewhere).length;
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

/** What gets no requests yet stands in for nothing that does. */
function shownFirst(left: Holding, right: Holding): number {
  return Number(left.unshown ?? false) - Number(right.unshown ?? false);
}

function startNew(situation: Situation): AgentFacts[] {
  const { input, reachable, surge, candidates, returning, ofTargetMax } = situation;
  if (input.limit?.isFrozen) return [];
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
    // Where the old one has to go on serving, another agent's may not.
    if (total >= reachable + surge && !(surge === 0 && makeRoom(situation, agent))) continue;
    started.push(agent);
  }
  return started;
}

/**
 * Where the target may not go yet and nothing runs, the good revision is started: an agent was lost, for instance. Also
 * beside, or while a rollout is held in place of, what can't be counted on.
 */
function startGood(situation: Situation, started: AgentFacts[]): AgentFacts[] {
  const { input, reachable, surge, available, others } = situation;
  if (input.limit === undefined || !input.good || !input.mayPlaceAnew) return [];
  const { specification } = input.good;
  const uncounted = notCountedOn(situation);
  const counted = [...available, ...situation.rising, ...others].filter((one) => !uncounted.includes(one));
  const busy = new Set([...counted.map(({ agent }) => agent), ...started]);
  const beside = new Set(uncounted.map(({ agent }) => agent));
  const open = input.agents.filter((agent) =>
    !busy.has(agent) && agent.name !== input.move?.from && takesNew(agent, specification, input.roomOn)
  ).toSorted(byLoad(input.load));
  const missing = Math.max(0, reachable - busy.size);
  const rank = (agent: AgentFacts) => 2 * byDamping(agent) + Number(beside.has(agent));
  const given: AgentFacts[] = [];
  for (const agent of takeSpread(open, missing, { label: specification.spread, taken: [] }, same, rank)) {
    const total = available.length + situation.rising.length + situation.others.length + started.length +
      given.length;
    if (total >= reachable + surge && !giveWay(situation, uncounted, agent)) break;
    given.push(agent);
  }
  return given;
}

/**
 * What the good revision need not wait for: replicas of the target, or of a drained agent, that are to go once something
 * serves in their place; and, while a rollout is held, which no deadline ends, those that do not serve. Without surge
 * some may be missing.
 */
function notCountedOn({ input, surge, maxUnavailable, rising, others }: Situation): Holding[] {
  const { target, good, limit } = input;
  if (good?.revision === target.revision) return [];
  const leaving = others.filter(({ revision, agent }) => revision === target.revision || agent.draining);
  const idle = limit?.isFrozen
    ? rising.filter(({ agent, state }) => agent.health === "ready" && state !== "ready")
    : [];
  return [...leaving, ...idle.slice(surge === 0 ? maxUnavailable : 0)];
}

/**
 * A replica that does not serve makes room for a good one, on its agent if it can; without surge, one of a drained agent
 * does, too.
 */
function giveWay(situation: Situation, uncounted: readonly Holding[], agent: AgentFacts): boolean {
  const idle = situation.rising.filter((holding) => uncounted.includes(holding));
  const leaving = idle.find((holding) => holding.agent === agent) ?? idle.at(-1);
  if (!leaving) {
    const drained = situation.others.filter((holding) => holding.agent.draining);
    return situation.surge === 0 && makeRoom(situation, agent, drained);
  }
  situation.rising = situation.rising.filter((holding) => holding !== leaving);
  return true;
}

function same(agent: AgentFacts): AgentFacts {
  return agent;
}

/** Without surge an old replica goes first: the agent's own, or of `from` the one least worth keeping. */
function makeRoom(situation: Situation, agent: AgentFacts, from = situation.others): boolean {
  const { reachable, maxUnavailable, available } = situation;
  const leaving = from.find((holding) => holding.agent.name === agent.name) ??
    from.findLast((holding) => !isServing(holding)) ?? from.at(-1);
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

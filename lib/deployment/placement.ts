/**
 * Which agents may run a replicaSet, in which order they are asked, and the words for why none is left.
 * Pure; called by `replicas.ts` for one set at a time.
 */
import { limits } from "../limits.ts";
import type { LabelRule, RevisionSpecification } from "../protocol/revision.ts";
import type { AgentFacts, Assignments, Holding, ReportedReplica } from "./facts.ts";
import { counted } from "../words.ts";

type Placement = Record<string, LabelRule>;

/** What placing reads of a specification. */
export type Needs = Pick<RevisionSpecification, "placement" | "memoryMb" | "cores">;

/** What is left on an agent for one set: its own replicas there are not counted. */
export interface Room {
  memoryBytes: number;
  cores: number;
}
export type RoomOn = (agent: AgentFacts) => Room;

/** Agents named in a reason before the rest is only counted. */
const agentsNamedMax = 4;
const MiB = 1024 * 1024;

/** True when every label is as its rule says. */
export function fitsPlacement(labels: Record<string, string>, placement: Placement): boolean {
  return Object.entries(placement).every(([name, rule]) => labelFits(labels[name], rule));
}

/** A label that is missing fits only a rule that names nothing it must be. */
function labelFits(value: string | undefined, rule: LabelRule): boolean {
  if (typeof rule === "string") return value === rule;
  if (Array.isArray(rule)) return value !== undefined && rule.includes(value);
  if (rule.in && (value === undefined || !rule.in.includes(value))) return false;
  return value === undefined || !(rule.not ?? []).includes(value);
}

/** False once an agent has been lost for so long that its replicas are wanted elsewhere. */
export function isPresent(agent: AgentFacts, nowMs: number): boolean {
  if (agent.health !== "lost") return true;
  return agent.lostSinceMs !== undefined && nowMs < agent.lostSinceMs + limits.lostGraceMs;
}

/** May be given a replica that it does not run yet. */
export function takesNew(agent: AgentFacts, needs: Needs, roomOn: RoomOn): boolean {
  return agent.health === "ready" && couldTake(agent, needs, roomOn);
}

/** Would take a replica, were it not for its health, which may pass. */
export function mayReturn(agent: AgentFacts, needs: Needs, roomOn: RoomOn): boolean {
  return agent.health !== "ready" && couldTake(agent, needs, roomOn);
}

function couldTake(agent: AgentFacts, needs: Needs, roomOn: RoomOn): boolean {
  return !isClosed(agent) && fitsPlacement(agent.labels, needs.placement) && hasRoom(needs, roomOn(agent));
}

function isClosed(agent: AgentFacts): boolean {
  return agent.cordoned || agent.draining;
}

function hasRoom(needs: Needs, room: Room): boolean {
  return needs.memoryMb * MiB <= room.memoryBytes && (needs.cores ?? 0) <= room.cores;
}

/**
 * The replicas of one set that agents run. What an agent was told last counts, not what it still reports of the
 * past; only an agent that was told nothing yet (it has just come, or the manager has) is believed.
 */
export function readHoldings(replicaSet: string, agents: AgentFacts[], assigned: Assignments): Holding[] {
  return agents.flatMap((agent) => {
    const reports = new Map(
      agent.reports.filter((report) => report.replicaSet === replicaSet).map((
        report,
      ) => [report.revision, report]),
    );
    const told = assigned.get(agent.name)?.filter((one) => one.replicaSet === replicaSet);
    const revisions = told?.map(({ revision }) => revision) ??
      [...reports.values()].filter(({ state }) => state !== "stopping").map(({ revision }) => revision);
    return [...new Set(revisions)].map((revision) => holdingOf(agent, revision, reports.get(revision)));
  });
}

function holdingOf(agent: AgentFacts, revision: number, report: ReportedReplica | undefined): Holding {
  return {
    agent,
    revision,
    state: report?.state ?? "pending",
    ...(report?.reason === undefined ? {} : { reason: report.reason }),
    ...(report?.readySinceMs === undefined ? {} : { readySinceMs: report.readySinceMs }),
    ...(report?.unshown ? { unshown: true } : {}),
  };
}

/** Serves requests now, or will once its agent has said by which handle. */
export function isServing(holding: Holding): boolean {
  return holding.state === "ready" && holding.agent.health === "ready";
}

/** Gets requests now. */
export function isShown(holding: Holding): boolean {
  return isServing(holding) && !holding.unshown;
}

/** Gets requests, and could have for `minReadyMs`. */
export function isAvailable(holding: Holding, minReadyMs: number, nowMs: number): boolean {
  return isShown(holding) && nowMs >= (holding.readySinceMs ?? nowMs) + minReadyMs;
}

/** Where one more adds the least to the sum of load² / cores, then by name, so that equal facts give equal plans. */
export function byLoad(load: Map<string, number>): (left: AgentFacts, right: AgentFacts) => number {
  const share = (agent: AgentFacts) => (2 * (load.get(agent.name) ?? 0) + 1) / Math.max(1, agent.cores);
  return (left, right) =>
    share(left) - share(right) || (left.name < right.name ? -1 : left.name > right.name ? 1 : 0);
}

/** Who is lost again and again is given something new when nobody else can take it. */
export function byDamping(agent: AgentFacts): number {
  return agent.damped ? 1 : 0;
}

/**
 * The first `count` of `items`, taken one by one: of equal `rank`, where the spread label has the fewest so far, else in
 * the order they come in. `taken` are the agents that count from the start.
 */
export function takeSpread<Item>(
  items: readonly Item[],
  count: number,
  spread: { label: string | undefined; taken: readonly AgentFacts[] },
  agentOf: (item: Item) => AgentFacts,
  rank: (item: Item) => number = () => 0,
): Item[] {
  const { label, taken } = spread;
  const crowd = new Map<string, number>();
  const valueOf = (agent: AgentFacts) => label === undefined ? "" : agent.labels[label] ?? "";
  const join = (agent: AgentFacts) => crowd.set(valueOf(agent), (crowd.get(valueOf(agent)) ?? 0) + 1);
  taken.forEach(join);
  const left = [...items];
  const chosen: Item[] = [];
  while (chosen.length < count && left.length > 0) {
    let best = 0;
    for (let index = 1; index < left.length; index++) {
      const ahead = rank(left[index]) - rank(left[best]) ||
        (crowd.get(valueOf(agentOf(left[index]))) ?? 0) - (crowd.get(valueOf(agentOf(left[best]))) ?? 0);
      if (ahead < 0) best = index;
    }
    const [next] = left.splice(best, 1);
    join(agentOf(next));
    chosen.push(next);
  }
  return chosen;
}

/** Why wanted replicas have no agent: what stands against each agent that does not run one. */
export function explainMissing(
  missing: number,
  wanted: number | "all",
  agents: AgentFacts[],
  holders: Set<string>,
  needs: Needs,
  roomOn: RoomOn,
): string {
  const start = wanted === "all"
    ? "No agent can run it"
    : `${missing} of ${counted(wanted, "replica")} ${missing === 1 ? "has" : "have"} no agent`;
  if (agents.length === 0) return `${start}: none has joined yet`;
  const others = agents.filter(({ name }) => !holders.has(name));
  if (others.length === 0) return `${start}: every agent runs one already`;
  return `${start}: ${firstOf(others, (agent) => obstacle(agent, needs, roomOn))}`;
}

/** Whom a rollout waits for: new replicas on agents that are away for a moment. */
export function explainAway(agents: AgentFacts[]): string {
  return `Waiting for ${firstOf(agents, ({ name, health }) => `${name} (${health})`)} to come back`;
}

function firstOf(agents: AgentFacts[], describe: (agent: AgentFacts) => string): string {
  const more = agents.length > agentsNamedMax ? [`and ${agents.length - agentsNamedMax} more`] : [];
  return [...agents.slice(0, agentsNamedMax).map(describe), ...more].join(", ");
}

function obstacle(agent: AgentFacts, needs: Needs, roomOn: RoomOn): string {
  for (const [name, rule] of Object.entries(needs.placement)) {
    const value = agent.labels[name];
    if (labelFits(value, rule)) continue;
    const has = value === undefined ? `no label ${name}` : `${name}=${value}`;
    return `${agent.name} has ${has} (${describeRule(rule)} is needed)`;
  }
  if (agent.draining) return `${agent.name} is drained`;
  if (agent.cordoned) return `${agent.name} is cordoned`;
  if (agent.health !== "ready") return `${agent.name} is ${agent.health}`;
  const room = roomOn(agent);
  if (needs.memoryMb * MiB > room.memoryBytes) {
    const left = Math.max(0, Math.floor(room.memoryBytes / MiB));
    return `${agent.name} has ${left} MB of memory left (${needs.memoryMb} are needed)`;
  }
  if ((needs.cores ?? 0) > room.cores) {
    return `${agent.name} has ${
      counted(Math.max(0, round(room.cores)), "core")
    } left (${needs.cores} are needed)`;
  }
  return `${agent.name} waits for its turn`;
}

/** A rule in words: "attic or shed", "not attic". */
export function describeRule(rule: LabelRule): string {
  if (typeof rule === "string") return rule;
  if (Array.isArray(rule)) return rule.join(" or ");
  const parts = [
    ...(rule.in ? [rule.in.join(" or ")] : []),
    ...(rule.not && rule.not.length > 0 ? [`not ${rule.not.join(" nor ")}`] : []),
  ];
  return parts.join(" and ");
}

function round(amount: number): number {
  return Math.round(amount * 100) / 100;
}

/**
 * Which agents may run a replicaSet, in which order they are asked, and the words for why none is left.
 * Pure; called by `replicas.ts` for one set at a time.
 */
import { limits } from "../limits.ts";
import type { AgentFacts, Assignments, Holding, ReportedReplica } from "./facts.ts";

type Placement = Record<string, string | string[]>;

/** Agents named in a reason before the rest is only counted. */
const agentsNamedMax = 4;

/** True when the labels have, for each name, the value or one of the values wanted. */
export function fitsPlacement(labels: Record<string, string>, placement: Placement): boolean {
  return Object.entries(placement).every(([name, wanted]) => labelFits(labels[name], wanted));
}

function labelFits(value: string | undefined, wanted: string | string[]): boolean {
  return value !== undefined && (Array.isArray(wanted) ? wanted.includes(value) : wanted === value);
}

/** False once an agent has been lost for so long that its replicas are wanted elsewhere. */
export function isPresent(agent: AgentFacts, nowMs: number): boolean {
  if (agent.health !== "lost") return true;
  return agent.lostSinceMs !== undefined && nowMs - agent.lostSinceMs < limits.lostGraceMs;
}

/** May be given a replica that it does not run yet. */
export function takesNew(agent: AgentFacts, placement: Placement): boolean {
  return agent.health === "ready" && !agent.cordoned && fitsPlacement(agent.labels, placement);
}

/** Would take a replica, were it not for its health, which may pass. */
export function mayReturn(agent: AgentFacts, placement: Placement): boolean {
  return agent.health !== "ready" && !agent.cordoned && fitsPlacement(agent.labels, placement);
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
  };
}

/** Serves requests now. */
export function isServing(holding: Holding): boolean {
  return holding.state === "ready" && holding.agent.health === "ready";
}

/** Serves, and has for `minReadyMs`. */
export function isAvailable(holding: Holding, minReadyMs: number, nowMs: number): boolean {
  return isServing(holding) && nowMs - (holding.readySinceMs ?? nowMs) >= minReadyMs;
}

/** Fewest replicas per core first, then by name, so that equal facts give equal plans. */
export function byLoad(load: Map<string, number>): (left: AgentFacts, right: AgentFacts) => number {
  const share = (agent: AgentFacts) => (load.get(agent.name) ?? 0) / Math.max(1, agent.cores);
  return (left, right) =>
    share(left) - share(right) || (left.name < right.name ? -1 : left.name > right.name ? 1 : 0);
}

/** Why wanted replicas have no agent: what stands against each agent that does not run one. */
export function explainMissing(
  missing: number,
  wanted: number | "all",
  agents: AgentFacts[],
  holders: Set<string>,
  placement: Placement,
): string {
  const start = wanted === "all"
    ? "No agent can run it"
    : `${missing} of ${wanted} ${wanted === 1 ? "replica" : "replicas"} ${
      missing === 1 ? "has" : "have"
    } no agent`;
  if (agents.length === 0) return `${start}: none has joined yet`;
  const others = agents.filter(({ name }) => !holders.has(name));
  if (others.length === 0) return `${start}: every agent runs one already`;
  const reasons = others.slice(0, agentsNamedMax).map((agent) => obstacle(agent, placement));
  const more = others.length > agentsNamedMax ? [`and ${others.length - agentsNamedMax} more`] : [];
  return `${start}: ${[...reasons, ...more].join(", ")}`;
}

function obstacle(agent: AgentFacts, placement: Placement): string {
  for (const [name, wanted] of Object.entries(placement)) {
    const value = agent.labels[name];
    if (labelFits(value, wanted)) continue;
    const needed = Array.isArray(wanted) ? wanted.join(" or ") : wanted;
    const has = value === undefined ? `no label ${name}` : `${name}=${value}`;
    return `${agent.name} has ${has} (${needed} is needed)`;
  }
  if (agent.cordoned) return `${agent.name} is cordoned`;
  return `${agent.name} is ${agent.health}`;
}

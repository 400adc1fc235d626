/** What the plan is told of agents: records of the registry → here → `deployment/plan`. */
import type { AgentRecord } from "../cluster/agents.ts";
import type { AgentFacts, ReportedReplica } from "../deployment/facts.ts";

/** False for an agent that only the store remembers: what it runs is not known before it has joined again. */
export function hasJoined(agent: AgentRecord): boolean {
  return agent.address !== "";
}

/** What the plan is told of an agent: a record has far more, and this is made for each at each step. */
export function factsOf(agent: AgentRecord, reports: ReportedReplica[]): AgentFacts {
  const { name, health, cordoned, draining, damped, labels, cores, memoryBytes } = agent;
  const { lostSinceMs, healthSinceMs } = agent;
  return {
    name,
    health,
    cordoned,
    draining,
    damped,
    labels,
    cores,
    memoryBytes,
    reports,
    healthSinceMs,
    ...(lostSinceMs === undefined ? {} : { lostSinceMs }),
  };
}

/**
 * What planning is told and what it answers: plain values, no effects. The manager gathers the facts from the store
 * and the agents' reports, calls `stepDeployments()`, and carries out the step; `plan.ts` explains the rules.
 */
import type { ReplicaReport } from "../protocol/messages.ts";
import type { Revision } from "../protocol/revision.ts";
import type { AgentHealth, RolloutView } from "../protocol/views.ts";

/** One replica as its agent last reported it. */
export type ReportedReplica = ReplicaReport & {
  /** Monotonic time since which it has been ready without a break. */
  readySinceMs?: number;
  /** It says so of what it was not told to run, or by the orders of an earlier connection: it gets no requests yet. */
  unshown?: boolean;
};

export interface AgentFacts {
  name: string;
  health: AgentHealth;
  /** Takes no new replicas; what it runs stays. */
  cordoned: boolean;
  /** Cordoned, and what it runs is moved to others. */
  draining: boolean;
  /** Lost again and again: it is given new replicas last. */
  damped?: boolean;
  labels: Record<string, string>;
  cores: number;
  /** 0: not known. */
  memoryBytes: number;
  reports: ReportedReplica[];
  /** Monotonic time; missing for an agent that was lost before the manager started. */
  lostSinceMs?: number;
  /** Monotonic time since which its health has been what it is; missing: for ever. */
  healthSinceMs?: number;
}

/** What a rollout's deadline is counted by; times are monotonic. */
export interface Progress {
  /** When there was last some. */
  atMs: number;
  /** Since when no agent works on it; missing while one does. */
  idleSinceMs?: number;
  /** For how long none did between that progress and the last time that one began to. */
  idleMs: number;
  /** Agents whose return was progress since there was last a new replica: each one's is, once. */
  returned: readonly string[];
}

/** A rollout with what a step must remember of it. Only the fields of `RolloutView` need storing. */
export interface RolloutRecord extends Omit<RolloutView, "weight"> {
  /** Missing while it is paused. */
  progress?: Progress;
  /** The most new replicas that were available at once. */
  readyBest?: number;
  /** Monotonic time at which the canary's stage had all its replicas available. */
  stepSinceMs?: number;
}

/** A rollout in this state goes on, now or once a person lets it. */
export function isOpen(state: RolloutView["state"]): boolean {
  return state === "progressing" || state === "paused";
}

export interface SetFacts {
  name: string;
  current: Revision;
  /** The last revision that was rolled out to its end. */
  good?: Revision;
  /** How many are wanted now, whatever the revision says. */
  replicas: number | "all";
  rollout?: RolloutRecord;
  /** The rollout's `fallback`, while it is kept. */
  previous?: Revision;
  /** Why the current revision must not go on, by its answers or its endpoints; found outside of the plan. */
  objection?: string;
  /** The current revision has not answered enough requests to be judged: its replicas stand in for no others yet. */
  isUndecided?: boolean;
}

/** A replica on its way from a crowded agent to an emptier one; at most one in the cluster at a time. */
export interface Move {
  replicaSet: string;
  revision: number;
  /** The agent that is relieved. */
  from: string;
  to: string;
  /** Given up at this monotonic time. */
  untilMs: number;
  /** Over; kept so that the next one waits. */
  endedAtMs?: number;
}

export interface Assignment {
  replicaSet: string;
  revision: number;
}

/** What each agent shall run, whole. An agent that is not in it is not planned for. */
export type Assignments = Map<string, Assignment[]>;

export interface DeploymentFacts {
  /** Monotonic: the durations of grace, readiness and deadlines are counted on it. */
  nowMs: number;
  /** Since the Unix epoch, for the records. */
  atMs: number;
  sets: SetFacts[];
  agents: AgentFacts[];
  /** `assignments` of the last step; empty after a start. Where an agent has none, its reports tell what it runs. */
  assigned: Assignments;
  /** Until this monotonic time no agent is given what none of its revisions ran before: those that ran it may return. */
  placeAfterMs?: number;
  /** `move` of the last step. */
  move?: Move;
}

export interface DeploymentEvent {
  level: "info" | "warn" | "error";
  kind: string;
  subject: string;
  message: string;
}

export interface DeploymentStep {
  assignments: Assignments;
  /** By set, for every set that has one. An unchanged record is the same object as in the facts. */
  rollouts: Map<string, RolloutRecord>;
  events: DeploymentEvent[];
  /** By set: why wanted replicas have no agent, in words. */
  pending: Map<string, string>;
  /** Monotonic time at which something falls due although nothing else may happen. */
  wakeAtMs?: number;
  move?: Move;
}

/** One replica that an agent runs or shall run, with its state as far as it is known. */
export interface Holding {
  agent: AgentFacts;
  revision: number;
  /** "pending": assigned, not reported yet. */
  state: ReplicaReport["state"] | "pending";
  reason?: string;
  readySinceMs?: number;
  unshown?: boolean;
}

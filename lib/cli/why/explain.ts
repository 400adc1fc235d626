/**
 * Why a replicaSet or an agent is as it is, in plain words: what the manager decided and recorded, not what might be. Pure:
 * views and events of the API → lines.
 */
import { limits } from "../../limits.ts";
import type { AgentView, EventView, ReplicaSetView, ReplicaView } from "../../protocol/views.ts";
import { formatMoment, formatMs } from "../tables.ts";
import { counted } from "../../words.ts";

/** Kinds of events that are decisions about a set or an agent. */
const decisions = new Set([
  "rollout_started",
  "rollout_paused",
  "rollout_resumed",
  "rollout_done",
  "rollout_failed",
  "rollout_undone",
  "canary_advanced",
  "scaled",
  "woken",
  "replica_moved",
  "replicas_released",
  "agent_drained",
  "agent_cordoned",
  "agent_uncordoned",
  "agent_suspect",
  "agent_lost",
  "agent_damped",
  "agent_undamped",
  "agent_ready",
  "agent_returned",
]);
const decisionsShown = 5;

/** The state of a set first, then what stands in its way, then the decisions that led there. */
export function explainReplicaSet(set: ReplicaSetView, events: readonly EventView[]): string[] {
  const lines = [`${set.name} ${stateOf(set)}`];
  if (set.rollout) lines.push(...rolloutLines(set.rollout));
  if (set.pendingReason) lines.push(`Pending: ${set.pendingReason}`);
  for (const replica of set.placements) {
    if (replica.state !== "ready") lines.push(`On ${replica.agent}: ${replicaLine(replica)}`);
  }
  if (set.queued > 0) {
    lines.push(
      `${
        counted(set.queued, "request waits", "requests wait")
      }: every ready replica is busy, or none is ready`,
    );
  }
  if (set.coldStartMs !== undefined) {
    lines.push(`It sleeps without requests; the last one that woke it waited ${formatMs(set.coldStartMs)}`);
  }
  return [...lines, ...decisionLines(events)];
}

export function explainAgent(agent: AgentView, events: readonly EventView[]): string[] {
  const { name, health, replicas } = agent;
  const many = counted(replicas.length, "replica");
  const lines = health === "lost"
    ? [`${name} is lost: it was last seen at ${formatMoment(agent.lastSeenAtMs)}, with ${many}`]
    : [`${name} is ${health} and runs ${many}`];
  if (agent.damped) {
    lines.push(
      `It is damped: it was lost again and again (weight ${agent.flapPenalty ?? 0}, used again at ` +
        `${limits.dampingReuse}); it gets requests only where nobody else can serve, until ` +
        `${formatMoment(agent.damped.untilMs)} if it is not lost again`,
    );
  } else if (agent.flapPenalty !== undefined) {
    lines.push(
      `It was lost of late (weight ${agent.flapPenalty}); beyond ${limits.dampingPenalty} others are asked first`,
    );
  }
  if (agent.draining) {
    const left = replicas.length > 0
      ? "what it runs moves to others, and requests that run there end first"
      : "nothing runs there any more";
    lines.push(`It is drained: ${left}; \`client uncordon ${name}\` ends that`);
  } else if (agent.cordoned) {
    lines.push(`It is cordoned: it takes no new replicas; \`client uncordon ${name}\` ends that`);
  }
  for (const replica of replicas) {
    if (replica.state !== "ready") lines.push(`${replica.replicaSet}: ${replicaLine(replica)}`);
  }
  if (agent.host?.throttled) lines.push("It slows itself down, for heat or for want of power");
  return [...lines, ...decisionLines(events)];
}

function stateOf({ ready, wanted, replicas, revision, version }: ReplicaSetView): string {
  const runs = `runs revision ${revision} (${version})`;
  if (wanted === 0) {
    // What stands against each agent follows.
    if (replicas === "all") return "runs nowhere: it is to run on every agent that fits, and none takes it";
    return typeof replicas === "object"
      ? "sleeps: nobody has called it for a while"
      : "is scaled to no replicas";
  }
  return ready >= wanted
    ? `is well: it ${runs} on ${ready} of ${counted(wanted, "agent")}`
    : `is not complete: ${ready} of ${counted(wanted, "replica is", "replicas are")} ready`;
}

function rolloutLines(rollout: NonNullable<ReplicaSetView["rollout"]>): string[] {
  const { state, toRevision, ready, total, weight, reason, fallback } = rollout;
  if (state === "done") return [];
  if (state === "failed") {
    const back = fallback === undefined ? "" : `; revision ${fallback} serves instead`;
    return [`Revision ${toRevision} was rolled back${back}: ${reason ?? "no reason is recorded"}`];
  }
  const stage = weight === undefined ? "" : `, with ${weight} % of the requests`;
  const where = `revision ${toRevision} is ready on ${ready} of ${total}${stage}`;
  return [state === "paused" ? `Its rollout is paused: ${where}` : `Its rollout goes on: ${where}`];
}

function replicaLine({ state, revision, reason }: ReplicaView): string {
  const words = {
    pending: "is asked for, and the agent has not answered yet",
    loading: "loads its modules",
    ready: "is ready",
    failed: "failed",
    stopping: "ends, once its requests have",
    lost: "is lost with its agent",
  }[state];
  return `revision ${revision} ${words}${reason ? `: ${reason}` : ""}`;
}

function decisionLines(events: readonly EventView[]): string[] {
  const shown = events.filter(({ kind }) => decisions.has(kind)).slice(-decisionsShown);
  if (shown.length === 0) return [];
  return ["Decided:", ...shown.map(({ atMs, message }) => `  ${formatMoment(atMs)}  ${message}`)];
}

/**
 * Why an endpoint is slow, refused or fine, in plain words with figures. Pure: what the manager shows of now, and the
 * slowest and failed requests of late → lines, the verdict first.
 */
import type {
  AgentView,
  EndpointView,
  ReplicaSetView,
  ReplicaView,
  RequestsView,
  RequestView,
} from "../../protocol/views.ts";
import { counted } from "../../words.ts";
import { formatMs, formatRate, formatShare } from "../tables.ts";

export interface EndpointFacts {
  endpoint: EndpointView;
  set: ReplicaSetView;
  agents: readonly AgentView[];
  requests: RequestsView;
  /** By the manager's clock. */
  nowMs: number;
}

/** A share from which a part of the time, or an agent, is what makes requests slow. */
const mostly = 0.6;
/** Below this nobody minds. */
const slowMsMin = 100;
/** With fewer slow requests one agent may have had them all by chance. */
const requestsForAgent = 5;
const busyShare = 0.9;
const hotC = 80;

export function explainEndpoint(facts: EndpointFacts): string[] {
  const refused = explainUnready(facts);
  if (refused.length > 0) return [...refused, ...explainFailures(facts)];
  return [
    ...explainSpeed(facts),
    ...explainCapacity(facts),
    ...explainDamping(facts),
    ...explainFailures(facts),
  ];
}

function explainUnready({ endpoint, set }: EndpointFacts): string[] {
  if (endpoint.readyReplicas > 0) return [];
  if (set.wanted === 0 && set.replicas !== "all") {
    return typeof set.replicas === "object"
      ? [`${endpoint.endpoint} sleeps with ${set.name}: the next request wakes it, and waits for that`]
      : [`${endpoint.endpoint} is refused: ${set.name} is scaled to no replicas`];
  }
  const why = set.pendingReason ?? reasonsOf(set.placements) ?? "no agent has reported it ready";
  return [
    `${endpoint.endpoint} is refused: ${
      set.wanted === 0
        ? `no agent takes ${set.name}`
        : set.wanted === 1
        ? `the one replica of ${set.name} is not ready`
        : `none of ${set.wanted} replicas of ${set.name} is ready`
    }`,
    `  because ${why}`,
    `  more: client why ${set.name}`,
  ];
}

function reasonsOf(placements: readonly ReplicaView[]): string | null {
  const reasons = placements.filter(({ reason }) => reason).map(({ agent, reason }) => `${agent}: ${reason}`);
  return reasons.length > 0 ? reasons.join("; ") : null;
}

/** The verdict on its speed, and where the time of the slowest goes. */
function explainSpeed(facts: EndpointFacts): string[] {
  const { endpoint, requests } = facts;
  const name = endpoint.endpoint;
  const rate = `${formatRate(endpoint.requestsPerSecond)} requests/s`;
  if (requests.slowest.length === 0) {
    return [`${name} has answered nothing ${within(facts)}; ${rate} now`];
  }
  const slowest = requests.slowest[0].totalMs;
  const p95 = endpoint.p95Ms === undefined ? "" : `, p95 ${formatMs(endpoint.p95Ms)}`;
  if (slowest < slowMsMin) {
    const answered = counted(requests.answered, "request");
    return [
      `${name} is fine: ${rate}${p95}; it answered ${answered} ${within(facts)}, the slowest in ${
        formatMs(slowest)
      }`,
    ];
  }
  const { part, share, text } = mainPart(requests.slowest);
  const culprit = part === "module" ? slowAgent(facts) : null;
  const cause = culprit ?? causes[part];
  return [
    `${name} is slow because ${cause}: ${rate}${p95}, the slowest took ${formatMs(slowest)}`,
    `  of the ${counted(requests.slowest.length, "slowest request")} ${within(facts)}, ${
      formatShare(share)
    } of the time was ${text}`,
    ...(culprit ? [`  the rest run it in time: drain that agent, or see what else it does`] : []),
  ];
}

type Part = "queue" | "module" | "network";

const causes: Record<Part, string> = {
  queue: "requests wait for a free slot",
  module: "its own code takes the time",
  network: "the way to its agents takes the time",
};

/** Where the slowest spent most of their time. */
function mainPart(slowest: readonly RequestView[]): { part: Part; share: number; text: string } {
  const sum = (of: (request: RequestView) => number) =>
    slowest.reduce((total, request) => total + of(request), 0);
  const parts: [Part, number, string][] = [
    ["queue", sum(({ queueMs }) => queueMs), "spent waiting in the queue"],
    ["module", sum(({ runMs = 0 }) => runMs), "spent in the module"],
    ["network", sum(({ networkMs = 0 }) => networkMs), "spent between manager, agent and module"],
  ];
  const [part, ms, text] = parts.reduce((best, next) => next[1] > best[1] ? next : best);
  return { part, share: ms / Math.max(1, sum(({ totalMs }) => totalMs)), text };
}

/** The one agent that has most of the slow ones though others run it too, and what ails it. */
function slowAgent({ endpoint, requests, agents }: EndpointFacts): string | null {
  const { slowest } = requests;
  if (endpoint.readyReplicas < 2 || slowest.length < requestsForAgent) return null;
  const [name, count] = [...Map.groupBy(slowest, ({ agent }) => agent)]
    .map(([agent, own]): [string, number] => [agent, own.length])
    .reduce((best, next) => next[1] > best[1] ? next : best);
  if (count / slowest.length < mostly) return null;
  return `agent ${name} is slow${
    ailment(agents.find((agent) => agent.name === name))
  }; ${count} of ${slowest.length} of the slowest ran there`;
}

function ailment(agent: AgentView | undefined): string {
  if (!agent?.host) return "";
  const { cpu, throttled, temperatureC } = agent.host;
  if (throttled) return " (it slows itself down: heat or undervoltage)";
  if (temperatureC !== undefined && temperatureC >= hotC) return ` (${Math.round(temperatureC)} °C)`;
  return cpu >= busyShare ? ` (CPU ${formatShare(cpu)})` : "";
}

function explainCapacity({ endpoint, set }: EndpointFacts): string[] {
  const ready = set.placements.filter(({ state }) => state === "ready");
  const slots = ready.reduce((sum, replica) => sum + replica.slots, 0);
  const own = `its requests: ${endpoint.outstanding} running, ${endpoint.queued} waiting`;
  const others = set.outstanding - endpoint.outstanding;
  const taken = others > 0 ? `, ${others} of them taken by its other endpoints` : "";
  const where = `${set.name} has ${counted(slots, "slot")} on ${ready.length} of ${
    counted(set.wanted, "replica")
  }${taken}`;
  if (endpoint.queued > 0) {
    const fixed = ready.some(({ adaptive }) => !adaptive) ? ", or raise `concurrency`" : "";
    return [`  ${own}; ${where}: it needs more replicas or machines${fixed}`];
  }
  return [
    `  ${own}; ${where}${endpoint.readyReplicas < set.wanted ? `; more: client why ${set.name}` : ""}`,
  ];
}

function explainDamping({ set, agents }: EndpointFacts): string[] {
  const runs = new Set(set.placements.filter(({ state }) => state === "ready").map(({ agent }) => agent));
  return agents.filter(({ name, damped }) => damped && runs.has(name)).map(({ name }) =>
    `  ${name} was lost again and again: others are asked first; more: client why ${name}`
  );
}

const advice: Partial<Record<RequestView["code"], string>> = {
  queue_full: "its queue is full, or longer than the deadline allows; more replicas take more",
  deadline_exceeded: "the deadline was too short for what it does or for how long it waited",
  module_failed: "its code threw",
  agent_lost: "agents vanished with requests; `idempotent` ones are run again elsewhere",
  no_ready_replica: "no replica was ready in time",
  too_large: "inputs or replies were beyond 8 MiB",
  forbidden: "the user may not invoke it",
};

function explainFailures(facts: EndpointFacts): string[] {
  const { failed, failures } = facts.requests;
  return failures.map(({ code, count }) => {
    const newest = failed.find((request) => request.code === code);
    const words = newest?.message ? `; one said: ${newest.message.split("\n")[0]}` : "";
    const often = count === 1 ? "once" : `${count} times`;
    const which = newest ? ` (${newest.requestId})` : "";
    return `  ${code} ${often} ${within(facts)}: ${advice[code] ?? "it failed"}${words}${which}`;
  });
}

/** What the counts are of: a manager knows nothing of the time before its start. */
function within({ endpoint, nowMs, requests }: EndpointFacts): string {
  const knownMs = Math.max(0, nowMs - requests.sinceMs);
  return requests.sinceMs <= endpoint.totalsSinceMs
    ? `since the manager started ${formatMs(knownMs)} ago`
    : `in the last ${Math.round(knownMs / 60_000)} min`;
}

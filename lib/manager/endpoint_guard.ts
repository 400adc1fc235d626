/**
 * Keeps callers from losing endpoints: a revision that drops or narrows one that was called lately is refused, at its
 * deployment as far as its modules tell, and else when its first replica shows what it has, before it gets a request.
 */
import type { AgentRecord } from "../cluster/agents.ts";
import type { RoutingTable } from "../cluster/routing.ts";
import { findBreaks } from "../deployment/breaking.ts";
import type { RolloutRecord } from "../deployment/facts.ts";
import { limits } from "../limits.ts";
import type { History } from "../metrics/history.ts";
import type { EndpointDescription } from "../protocol/messages.ts";
import type { Revision } from "../protocol/revision.ts";

const advice = 'it was called within the last hour; deploy with --force, or "breaking": "allow" in `rollout`';

/** Whether a full endpoint name was called lately. */
export type WasCalled = (endpoint: string) => boolean;

/** By the history that is stored; no damage in it stops a rollout. */
export function wasCalledBefore(history: Pick<History, "read">, endpoint: string, nowMs: number): boolean {
  const fromMs = nowMs - limits.calledLatelyMs;
  const range = { resolutionMs: limits.sampleMs, kind: "endpoint" as const, subject: endpoint };
  return history.read({ ...range, fromMs, toMs: nowMs, skipsDamaged: true }).length > 0;
}

/** What a deployment would drop: functions that are there `before`, called, and not among `functions`. */
export function findDropped(
  { name, before, functions, wasCalled }: {
    name: string;
    before: readonly string[];
    functions: readonly string[];
    wasCalled: WasCalled;
  },
): string | undefined {
  const described = (names: readonly string[]) => names.map((each) => ({ name: each, stream: false }));
  const after = described(before.filter((each) => functions.includes(each)));
  return inWords(name, findBreaks(described(before), after, (endpoint) => wasCalled(`${name}/${endpoint}`)));
}

/** What the new revision of a rollout under way breaks, as far as its first ready replica shows. */
export function findBroken(
  { current, rollout, agents, routes, wasCalled }: {
    current: Revision;
    rollout: RolloutRecord | undefined;
    agents: readonly AgentRecord[];
    routes: RoutingTable;
    wasCalled: WasCalled;
  },
): string | undefined {
  const { replicaSet: name, specification: { rollout: policy } } = current;
  if (policy.breaking === "allow" || rollout?.state !== "progressing") return undefined;
  if (rollout.toRevision !== current.revision || rollout.fallback === undefined) return undefined;
  const after = shownBy(agents, name, rollout.toRevision);
  if (!after) return undefined;
  const before = shownBy(agents, name, rollout.fallback) ?? [
    ...routes.sets.get(name)?.endpoints.values() ?? [],
  ].filter(({ revision }) => revision === rollout.fallback).map(({ description }) => description);
  return inWords(name, findBreaks(before, after, (endpoint) => wasCalled(`${name}/${endpoint}`)));
}

function shownBy(
  agents: readonly AgentRecord[],
  name: string,
  revision: number,
): EndpointDescription[] | undefined {
  for (const { reports } of agents) {
    const shown = reports.find((report) =>
      report.replicaSet === name && report.revision === revision && report.state === "ready"
    );
    if (shown) return shown.endpoints;
  }
  return undefined;
}

function inWords(name: string, breaks: string[]): string | undefined {
  return breaks.length === 0 ? undefined : `${name}: ${breaks.join(", ")}; ${advice}`;
}

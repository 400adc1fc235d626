/**
 * Two promises about each step of the deployments, looked at in its middle, when the first agent is told of it:
 * what it takes away leaves `replicas - maxUnavailable` agents that serve, as far as there were so many and agents live
 * that could run it; and what it asks for is at most `replicas + maxSurge` replicas.
 * What faults and people take is no decision of a step: only a replica counts whose agent is well and calls it ready.
 */
import type { RoutingTable } from "../../../lib/cluster/routing.ts";
import type { AgentRecord } from "../../../lib/cluster/agents.ts";
import { fitsPlacement } from "../../../lib/deployment/placement.ts";
import { revisionInForce } from "../../../lib/deployment/rollout.ts";
import { limits } from "../../../lib/limits.ts";
import type { StoredSet } from "../../../lib/store/deployments.ts";
import type { Checker } from "../observer.ts";
import type { World } from "../world.ts";

/** What this manager last told an agent to run, `set revision`; of agents that it told nothing it believes what they say. */
type Told = Map<string, ReadonlySet<string>>;

/** Of an agent that has just come back: what it runs counts again once the step has asked for it. */
const justBack: ReadonlySet<string> = new Set();

/** A set in the middle of a step. */
interface Situation {
  set: StoredSet;
  /** Agents whose replica serves before the step, and those that have one after it: one may just be back with its own. */
  serving: string[];
  keeping: string[];
  /** All replicas that are asked for. */
  asked: number;
  wantedMin: number;
  wantedMax: number;
  /** Agents that run a replica or could be given one. */
  possible: number;
  maxUnavailable: number;
  maxSurge: number;
}

export function enoughReady(world: World): Checker {
  const name = "enough ready";
  return eachStep(world, name, (situation) => {
    const { set, serving, keeping, wantedMin, possible, maxUnavailable } = situation;
    const least = Math.min(wantedMin, possible) - maxUnavailable;
    if (keeping.length >= Math.min(serving.length, least)) return;
    const left = serving.filter((agent) => !keeping.includes(agent));
    world.fail(
      name,
      `of ${serving.length} replicas of ${set.name} that serve, those of ${
        left.join(", ")
      } are taken away; ` +
        `at least ${least} must be left`,
    );
  });
}

export function withinSurge(world: World): Checker {
  const name = "within surge";
  return eachStep(world, name, ({ set, asked, wantedMax, maxSurge }) => {
    if (asked <= wantedMax + maxSurge) return;
    world.fail(
      name,
      `${asked} replicas of ${set.name} are asked for, at most ${wantedMax} + ${maxSurge} may be`,
    );
  });
}

function eachStep(world: World, name: string, judge: (situation: Situation) => void): Checker {
  const told: Told = new Map();
  /** The table of the step that was judged last: each step ends with a new one. */
  let judged: RoutingTable | null = null;
  return {
    name,
    managerStarted() {
      told.clear();
      judged = null;
    },
    managerGotMessage({ name: agent }, { type }) {
      // What its last connection was told may be out of date; what still counts of it is routed.
      if (type === "hello" && told.has(agent)) told.set(agent, justBack);
    },
    managerSentMessage({ name: agent }, message) {
      if (message.type !== "desired" || !world.manager.isUp) return;
      const { controller } = world.manager.core;
      if (controller.routes !== judged) {
        judged = controller.routes;
        const nowMs = world.manager.process!.clock.monotonicMs();
        const present = world.manager.core.agents.list().filter((one) => isPresent(one, nowMs));
        for (const set of controller.sets) judge(situationOf(world, set, present, told));
      }
      told.set(agent, new Set(message.replicas.map((one) => `${one.replicaSet} ${one.revision}`)));
    },
  };
}

/** Neither only remembered by the store nor lost for so long that others take over. */
function isPresent({ address, health, lostSinceMs }: AgentRecord, nowMs: number): boolean {
  if (address === "") return false;
  return health !== "lost" || lostSinceMs !== undefined && nowMs < lostSinceMs + limits.lostGraceMs;
}

function situationOf(
  world: World,
  set: StoredSet,
  present: AgentRecord[],
  told: Told,
): Situation {
  const { controller } = world.manager.core;
  const rollout = controller.rollout(set.name);
  // With nothing to go back to, what serves goes on and nothing is begun.
  const isStuck = rollout?.state === "failed" && set.good === undefined && set.previous === undefined;
  const { revision: target, specification } = revisionInForce({ ...set, ...(rollout ? { rollout } : {}) });
  const asked = new Map(present.map(({ name }) => [
    name,
    controller.assignments(name).filter(({ replicaSet }) => replicaSet === set.name)
      .map(({ revision }) => revision),
  ]));
  const counted = present.filter(({ draining }) => !(isStuck && draining));
  const servesOn = (agent: AgentRecord) => servingOn(world, set.name, agent, told);
  const serving = counted.filter((agent) => servesOn(agent).length > 0).map(({ name }) => name);
  const isBack = ({ name, health }: AgentRecord) => health === "ready" && told.get(name) === justBack;
  const keeping = counted.filter((agent) =>
    (isBack(agent) ? readyOn(set.name, agent) : servesOn(agent))
      .some((revision) => asked.get(agent.name)!.includes(revision))
  ).map(({ name }) => name);
  const fits = ({ labels }: AgentRecord) => fitsPlacement(labels, specification.placement);
  const holds = ({ name }: AgentRecord) => serving.includes(name) || asked.get(name)!.length > 0;
  const possible = present.filter((agent) =>
    !agent.draining && (holds(agent) || fits(agent) && !agent.cordoned)
  );
  // Of a cordoned agent only what it has counts: the target, and of the revision before while a rollout is held.
  const everywhere = (isHeld: boolean) =>
    present.filter((agent) => {
      const has = agent.reports.filter(({ replicaSet }) => replicaSet === set.name)
        .map(({ revision }) => revision).concat(asked.get(agent.name)!);
      const stays = has.some((revision) => isHeld || revision === target);
      return fits(agent) && !agent.draining && (!agent.cordoned || stays);
    }).length;
  const wish = set.replicasOverride ?? set.current.specification.replicas;
  // A step that ends a rollout, or a stage of it, was planned while it was under way.
  const wanted = wish === "all"
    ? [everywhere(false), everywhere(rollout?.state === "paused" || rollout?.step !== undefined)]
    : typeof wish === "number"
    ? [wish]
    : [0, 1].map((least) => Math.min(wish.max, Math.max(wish.min, least, set.scaledTo ?? 1)));
  return {
    set,
    serving,
    keeping,
    asked: [...asked.values()].reduce((sum, revisions) => sum + revisions.length, 0),
    wantedMin: Math.min(...wanted),
    wantedMax: isStuck && wish === "all" ? Infinity : Math.max(...wanted),
    possible: possible.length,
    maxUnavailable: isStuck ? 0 : specification.rollout.maxUnavailable,
    maxSurge: isStuck ? 0 : specification.rollout.maxSurge,
  };
}

/** The revisions of a set that serve on an agent before the step, or are ready to. */
function servingOn(world: World, set: string, agent: AgentRecord, told: Told): number[] {
  if (agent.health !== "ready") return [];
  const { controller } = world.manager.core;
  const routed = controller.routes.sets.get(set)?.replicas ?? [];
  return readyOn(set, agent).filter((revision) =>
    told.has(agent.name)
      ? told.get(agent.name)!.has(`${set} ${revision}`) ||
        routed.some((one) => one.agent === agent.name && one.revision === revision)
      : world.manager.store.deployments.revision(set, revision) !== undefined
  );
}

function readyOn(set: string, { reports }: AgentRecord): number[] {
  return reports.filter(({ replicaSet, state }) => replicaSet === set && state === "ready")
    .map(({ revision }) => revision);
}

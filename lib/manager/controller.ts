/**
 * The deployment loop: gathers facts, lets the pure step decide, applies what it says. On the way: stored revisions
 * and agents' reports → `deployment/plan` → `desired` to each agent → routing table, swapped whole.
 * Invariant: a request can only reach a replica that this manager asked for and that has shown itself ready.
 */
import type { AgentRecord, Agents } from "../cluster/agents.ts";
import { buildRoutes, emptyRoutes, type RoutingAgent, type RoutingTable } from "../cluster/routing.ts";
import type { Clock } from "../clock.ts";
import { routedSplits } from "../deployment/canary.ts";
import { isOpen } from "../deployment/facts.ts";
import {
  type Assignment,
  type Assignments,
  type DeploymentStep,
  type Move,
  type ReportedReplica,
  type RolloutRecord,
  type SetFacts,
  stepDeployments,
} from "../deployment/plan.ts";
import { closedSets, wantedNow } from "../deployment/scale.ts";
import { limits } from "../limits.ts";
import { encodeMessage, type ReplicaSpecification } from "../protocol/messages.ts";
import type { Revision } from "../protocol/revision.ts";
import type { DeploymentStore, StoredSet } from "../store/deployments.ts";
import { factsOf, hasJoined } from "./agent_facts.ts";
import { findBroken, type WasCalled } from "./endpoint_guard.ts";
import type { Store } from "../store/store.ts";
import type { RecordEvent } from "./events.ts";
import { Handles } from "./handles.ts";
import { RolloutSaver } from "./rollout_saver.ts";

export interface ControllerOptions {
  clock: Clock;
  deployments: DeploymentStore;
  agents: Agents;
  record: RecordEvent;
  /** All of `work`'s writes to the store, or none: what is stored has been told, whenever this program ends. */
  transaction: Store["transaction"];
  /** Generations must grow over restarts of the manager, so they start at a number of the start. */
  bootEpoch: number;
  /** Whether an endpoint was called lately. */
  wasCalled: WasCalled;
  /** Whether the current revision must answer more requests before its replicas stand in for others. */
  isUndecided(set: StoredSet, rollout: Readonly<RolloutRecord>): boolean;
  /** The next routing table, whole. */
  publish(routes: RoutingTable): void;
}

const generationsPerStart = 1_000_000_000;

export class Controller {
  readonly #options: ControllerOptions;
  #sets: ReadonlyMap<string, StoredSet>;
  #routes: RoutingTable = emptyRoutes;
  #assignments: Assignments = new Map();
  /** With what a step remembers of each; the store keeps only what must survive a restart. */
  #rollouts = new Map<string, RolloutRecord>();
  readonly #saver: RolloutSaver;
  /** After a start, agents that ran something get the time to return before others are given it. */
  readonly #placeAfterMs: number | undefined;
  #pending: ReadonlyMap<string, string> = new Map();
  /** Why a current revision must not go on, found by others than the plan. */
  #objections = new Map<string, { revision: number; reason: string }>();
  #move: Move | undefined;
  #generation: number;
  readonly #handles = new Handles();
  /** Older ones that some agent still runs; the store may have dropped them meanwhile. */
  #revisions = new Map<string, Revision>();
  /** The handles that each welcomed agent was last sent, to send only changes. */
  #sent = new Map<string, string>();
  /** Somebody may have been sent something else than the last step says. */
  #isUnsent = true;
  #scheduled = false;
  #cancelWake: () => void = () => {};
  #closed = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#saver = new RolloutSaver(options);
    this.#sets = byName(options.deployments.loadAll());
    this.#generation = options.bootEpoch * generationsPerStart;
    for (const { name, rollout } of this.#sets.values()) {
      if (rollout) this.#rollouts.set(name, { ...rollout, ready: 0, total: 0 });
    }
    this.#placeAfterMs = options.agents.list().length > 0
      ? options.clock.monotonicMs() + limits.lostGraceMs
      : undefined;
    this.#applyRoutes();
  }

  get routes(): RoutingTable {
    return this.#routes;
  }

  get sets(): readonly StoredSet[] {
    return [...this.#sets.values()];
  }

  /** Why replicas of a set wait for a place, in words. */
  pendingReason(set: string): string | undefined {
    return this.#pending.get(set);
  }

  assignments(agent: string): readonly Assignment[] {
    return this.#assignments.get(agent) ?? [];
  }

  /** The revisions an agent shall run. */
  revisionsOn(agent: string): Revision[] {
    return this.assignments(agent).map(({ replicaSet, revision }) =>
      this.#findRevision(replicaSet, revision)!
    );
  }

  set(name: string): StoredSet | undefined {
    return this.#sets.get(name);
  }

  /** Something a decision rests on has changed; the next step runs in this turn's microtask. */
  changed(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#step();
    });
  }

  /** Stored sets were changed. */
  reload(): void {
    this.#sets = byName(this.#options.deployments.loadAll());
    for (const { name, rollout } of this.#sets.values()) {
      const known = this.#rollouts.get(name);
      if (!known || known.toRevision !== rollout?.toRevision || known.state === rollout.state) continue;
      // Only people pause a rollout and let it go on; everything else is said by a step.
      if (isOpen(known.state) && isOpen(rollout.state)) {
        this.#rollouts.set(name, { ...known, state: rollout.state });
      }
    }
    this.changed();
  }

  /** This revision must not go on, for a reason that planning doesn't see: it is undone where there is something to go back to. */
  object(name: string, revision: number, reason: string): void {
    this.#objections.set(name, { revision, reason });
    this.changed();
  }

  /** With what a step knows of it beyond what is stored. */
  rollout(name: string): Readonly<RolloutRecord> | undefined {
    return this.#rollouts.get(name);
  }

  /** The agent has been welcomed on a new connection: it is sent all that it shall run; what it does not run is routed no more. */
  welcomed(agent: string): void {
    this.#sent.set(agent, "nothing yet");
    this.#isUnsent = true;
    this.#applyRoutes();
    this.changed();
  }

  /** The agent's connection is gone. */
  left(agent: string): void {
    this.#sent.delete(agent);
    this.changed();
  }

  close(): void {
    this.#closed = true;
    this.#cancelWake();
  }

  #step(): void {
    const { clock, agents, deployments } = this.#options;
    const known = agents.list();
    if (this.#saver.catchUp(this.#sets, this.#rollouts)) this.#sets = byName(deployments.loadAll());
    this.#guardEndpoints(known);
    const step = stepDeployments({
      nowMs: clock.monotonicMs(),
      atMs: clock.nowMs(),
      sets: this.sets.map((set) => this.#setFacts(set)),
      agents: known.filter(hasJoined).map((agent) => factsOf(agent, this.#shownReports(agent))),
      assigned: this.#assignments,
      move: this.#move,
      placeAfterMs: known.every(hasJoined) ? undefined : this.#placeAfterMs,
    });
    this.#isUnsent ||= !isSame(this.#assignments, step.assignments);
    this.#assignments = step.assignments;
    this.#pending = step.pending;
    this.#move = step.move;
    this.#persist(step);
    this.#sendDesired();
    this.#applyRoutes();
    this.#cancelWake();
    const retryAtMs = this.#saver.isBehind ? clock.monotonicMs() + limits.unsavedRetryMs : Infinity;
    const wakeAtMs = Math.min(step.wakeAtMs ?? Infinity, retryAtMs);
    if (wakeAtMs === Infinity) return;
    this.#cancelWake = clock.after(Math.max(1, wakeAtMs - clock.monotonicMs()), () => this.changed());
  }

  /** Before a new replica gets its first request. */
  #guardEndpoints(agents: readonly AgentRecord[]): void {
    const { wasCalled } = this.#options;
    for (const { name, current } of this.#sets.values()) {
      const rollout = this.#rollouts.get(name);
      const reason = findBroken({ current, rollout, agents, routes: this.#routes, wasCalled });
      if (reason !== undefined) this.#objections.set(name, { revision: current.revision, reason });
    }
  }

  #setFacts(set: StoredSet): SetFacts {
    const { name, current, good, previous } = set;
    const objection = this.#objections.get(name);
    const rollout = this.#rollouts.get(name);
    return {
      name,
      current,
      good,
      previous,
      replicas: wantedNow({ ...set, rollout }),
      rollout,
      ...(rollout && this.#options.isUndecided(set, rollout) ? { isUndecided: true } : {}),
      ...(objection?.revision === current.revision ? { objection: objection.reason } : {}),
    };
  }

  /** Stores what became of rollouts; counts of ready replicas are reported anew and not worth a write. */
  #persist(step: DeploymentStep): void {
    const { record } = this.#options;
    const changed = [...step.rollouts].filter(([name, rollout]) => {
      const before = this.#rollouts.get(name);
      const isSame = before?.toRevision === rollout.toRevision;
      // A revision that is rolled out once more is judged anew.
      if (!isSame || before.startedAtMs !== rollout.startedAtMs) this.#objections.delete(name);
      return !isSame || before.state !== rollout.state || before.step !== rollout.step;
    });
    this.#rollouts = step.rollouts;
    if (changed.length === 0 && step.events.length === 0) return;
    let stored = false;
    const tell = () => {
      for (const { level, kind, subject, message } of step.events) record(level, kind, subject, message);
    };
    try {
      this.#options.transaction(() => {
        for (const [name, rollout] of changed) stored = this.#saver.save(this.set(name), rollout) || stored;
        tell();
      }, changed.some(([, { state }]) => state === "done") ? "durable" : "relaxed");
    } catch (thrown) {
      stored = false;
      for (const [name] of changed) this.#saver.note(name, thrown);
      // It was rolled back with what it tells of; decided it is all the same.
      tell();
    }
    if (stored) this.reload();
  }

  #sendDesired(): void {
    if (!this.#isUnsent) return;
    this.#isUnsent = false;
    for (const agent of this.#options.agents.list()) {
      // Before its welcome an agent takes nothing.
      if (!agent.connection || !this.#sent.has(agent.name)) continue;
      const assignments = this.assignments(agent.name);
      // A handle is one revision's on one agent, and a revision never changes: nothing else is compared, no order either.
      const handles = assignments.map((assignment) => this.#handles.give(agent.name, assignment))
        .sort((left, right) => left - right).join(" ");
      if (this.#sent.get(agent.name) === handles) continue;
      this.#sent.set(agent.name, handles);
      const replicas = assignments.map((assignment) => this.#specification(agent.name, assignment));
      agent.connection.sendControl(
        encodeMessage({ type: "desired", generation: ++this.#generation, replicas }),
      );
    }
    this.#handles.keep(this.#assignments);
    this.#dropRevisions();
  }

  #specification(agent: string, { replicaSet, revision }: Assignment): ReplicaSpecification {
    // The step only names revisions it was given.
    const { specification } = this.#findRevision(replicaSet, revision)!;
    const { version, modules, permissions, env, memoryMb, timeoutMs, concurrency } = specification;
    return {
      handle: this.#handles.give(agent, { replicaSet, revision }),
      replicaSet,
      revision,
      version,
      modules,
      permissions,
      env,
      memoryMb,
      timeoutMs,
      ...(concurrency === undefined ? {} : { concurrency }),
    };
  }

  /** undefined: the set is gone, or so old a revision that it is not kept. */
  #findRevision(replicaSet: string, revision: number): Revision | undefined {
    const set = this.set(replicaSet);
    if (set?.current.revision === revision) return set.current;
    if (set?.good?.revision === revision) return set.good;
    if (set?.previous?.revision === revision) return set.previous;
    const key = `${replicaSet} ${revision}`;
    const found = this.#revisions.get(key) ?? this.#options.deployments.revision(replicaSet, revision);
    if (set && found) this.#revisions.set(key, found);
    return set && found;
  }

  #dropRevisions(): void {
    const wanted = new Set<string>();
    for (const list of this.#assignments.values()) {
      for (const { replicaSet, revision } of list) wanted.add(`${replicaSet} ${revision}`);
    }
    for (const key of this.#revisions.keys()) if (!wanted.has(key)) this.#revisions.delete(key);
  }

  #applyRoutes(): void {
    const agents = this.#options.agents.list().map((agent): RoutingAgent => {
      const { name, health, damped } = agent;
      return {
        name,
        health,
        damped,
        reports: this.#ownReports(agent).filter((report) => this.#isShown(name, report)),
      };
    });
    // What serves now decides what exists: during a failed rollout that is the good revision.
    const current = this.sets.map((set) => set.current);
    this.#routes = buildRoutes(
      current,
      agents,
      this.#routes,
      routedSplits(this.#sets.values(), this.#rollouts),
      closedSets(this.#sets.values()),
    );
    this.#options.publish(this.#routes);
  }

  /** For the plan. Who comes for the first time since this manager's start is believed: nobody has shown anything yet. */
  #shownReports(agent: AgentRecord): ReportedReplica[] {
    const isBelieved = !agent.isBack &&
      agent.generation <= this.#options.bootEpoch * generationsPerStart;
    return this.#ownReports(agent).map((report) =>
      isBelieved || this.#isShown(agent.name, report) ? report : { ...report, unshown: true }
    );
  }

  /** It speaks of what this manager told it to run: only such a replica gets requests. */
  #isShown(agent: string, report: ReportedReplica): boolean {
    return this.#handles.find(agent, report) === report.handle;
  }

  /**
   * An agent's reports of revisions that exist: one that was away while a set was deleted and made anew runs what nobody
   * can tell it to run any more. Handles of an earlier manager are told apart in `#applyRoutes`.
   */
  #ownReports<Report extends { replicaSet: string; revision: number }>(
    agent: { reports: readonly Report[] },
  ): Report[] {
    return agent.reports.filter(({ replicaSet, revision }) =>
      this.#findRevision(replicaSet, revision) !== undefined
    );
  }
}

function byName(sets: readonly StoredSet[]): Map<string, StoredSet> {
  return new Map(sets.map((set) => [set.name, set]));
}

function isSame(before: Assignments, after: Assignments): boolean {
  if (before.size !== after.size) return false;
  for (const [agent, list] of after) {
    const known = before.get(agent);
    if (known?.length !== list.length) return false;
    const isChanged = ({ replicaSet, revision }: Assignment, at: number) =>
      replicaSet !== known[at].replicaSet || revision !== known[at].revision;
    if (list.some(isChanged)) return false;
  }
  return true;
}

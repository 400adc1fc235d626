/**
 * Watches how new revisions answer, from their first request to some minutes after their rollout is done, and objects to
 * the bad ones: outcomes → `deployment/traffic` → here → `deployment/judge` → the controller, which undoes them.
 * Where there is traffic, the first replicas of a revision replace no others before it has answered enough to be judged.
 */
import type { Clock } from "../clock.ts";
import type { RolloutRecord } from "../deployment/facts.ts";
import { type Arm, judgeEndpoint, type Looks, noLooks } from "../deployment/judge.ts";
import type { Traffic } from "../deployment/traffic.ts";
import { limits } from "../limits.ts";
import { rollbackDefault, type RollbackPolicy } from "../protocol/revision.ts";
import type { ArmView, PastRolloutView } from "../protocol/views.ts";
import type { StoredSet } from "../store/deployments.ts";

export interface JudgeOptions {
  clock: Clock;
  traffic: Traffic;
  sets(): readonly StoredSet[];
  rollout(replicaSet: string): Readonly<RolloutRecord> | undefined;
  endpoints(replicaSet: string): readonly string[];
  /** Whether a replica of the revision gets requests. */
  isServing(replicaSet: string, revision: number): boolean;
  object(replicaSet: string, revision: number, reason: string): void;
  /** What was undecided is not any more. */
  decided(): void;
}

/** One rollout under watch. */
interface Watched {
  revision: number;
  startedAtMs: number;
  looks: Map<string, Looks>;
  /** Since when the revision gets requests, monotonic ms. */
  servingSinceMs?: number;
  isDecided: boolean;
  /** Somebody was told that it is undecided, and waits for word that it is not any more. */
  isAwaited: boolean;
  isOver: boolean;
}

export class Judge {
  readonly #options: JudgeOptions;
  #watched = new Map<string, Watched>();
  readonly #stop: (() => void)[];

  constructor(options: JudgeOptions) {
    this.#options = options;
    const { clock, traffic } = options;
    this.#stop = [
      clock.every(limits.trafficWindowMs, () => traffic.rotate(clock.nowMs())),
      clock.every(limits.judgeEveryMs, () => this.#look()),
    ];
  }

  /** True while a rollout's first replicas have not answered enough, where there are requests to be answered. */
  isUndecided(set: StoredSet, rollout: Readonly<RolloutRecord>): boolean {
    // A canary's stages say for themselves how long each is watched; and 0 says that nothing shall be waited for.
    if (rollout.state !== "progressing" || rollout.step !== undefined) return false;
    if (set.current.specification.rollout.minReadyMs === 0) return false;
    if (!isWatched(set, rollout, this.#options.clock.nowMs())) return false;
    const watch = this.#watchOf(rollout);
    watch.isDecided ||= this.#decide(set, rollout, watch);
    watch.isAwaited = !watch.isDecided;
    return watch.isAwaited;
  }

  /** What a rollout is judged by now, by endpoint; empty while it is not judged, or nothing has been answered. */
  figures(replicaSet: string): NonNullable<PastRolloutView["judged"]> {
    const { clock, traffic, sets, rollout: rolloutOf, endpoints } = this.#options;
    const set = sets().find(({ name }) => name === replicaSet);
    const rollout = rolloutOf(replicaSet);
    if (!set || !rollout || !isWatched(set, rollout, clock.nowMs())) return [];
    return endpoints(replicaSet).map((endpoint) => ({
      endpoint,
      before: describeArm(traffic.arm(endpoint, rollout.fallback!).arm),
      after: describeArm(traffic.arm(endpoint, rollout.toRevision).arm),
    })).filter(({ after }) => after.requests > 0);
  }

  close(): void {
    for (const stop of this.#stop) stop();
  }

  #look(): void {
    const { clock } = this.#options;
    for (const set of this.#options.sets()) {
      const rollout = this.#options.rollout(set.name);
      if (!rollout || !isWatched(set, rollout, clock.nowMs())) {
        this.#watched.delete(set.name);
        continue;
      }
      const watch = this.#watchOf(rollout);
      if (!watch.isOver) this.#judge(set, rollout, watch);
      if (watch.isAwaited && !this.isUndecided(set, rollout)) {
        watch.isAwaited = false;
        this.#options.decided();
      }
    }
  }

  /** A revision that is rolled out once more starts with a clean slate. */
  #watchOf({ replicaSet, toRevision, startedAtMs }: RolloutRecord): Watched {
    const known = this.#watched.get(replicaSet);
    if (known?.revision === toRevision && known.startedAtMs === startedAtMs) return known;
    this.#options.traffic.forget(replicaSet, toRevision, this.#options.clock.nowMs());
    const fresh = {
      revision: toRevision,
      startedAtMs,
      looks: new Map(),
      isDecided: false,
      isAwaited: false,
      isOver: false,
    };
    this.#watched.set(replicaSet, fresh);
    return fresh;
  }

  #decide(set: StoredSet, rollout: RolloutRecord, watch: Watched): boolean {
    const { clock, traffic, endpoints, isServing } = this.#options;
    const enough = policyOf(set).minRequests * limits.judgedRequestsFactor;
    let before = 0;
    let after = 0;
    for (const endpoint of endpoints(set.name)) {
      before += traffic.requests(endpoint, rollout.fallback!).inArm;
      after += traffic.requests(endpoint, rollout.toRevision).total;
    }
    // Where nobody asks, nothing is to be learned by waiting.
    if (before < enough || after >= enough) return true;
    if (!isServing(set.name, rollout.toRevision)) return false;
    const nowMs = clock.monotonicMs();
    watch.servingSinceMs ??= nowMs;
    return nowMs - watch.servingSinceMs >= limits.judgeWaitMs;
  }

  #judge(set: StoredSet, rollout: RolloutRecord, watch: Watched): void {
    const { traffic, object } = this.#options;
    const policy = policyOf(set);
    const endpoints = this.#options.endpoints(set.name);
    for (const endpoint of endpoints) {
      const looks = watch.looks.get(endpoint) ?? noLooks(policy);
      if (traffic.requests(endpoint, rollout.toRevision).total < looks.nextAt) continue;
      const { arm: after, total } = traffic.arm(endpoint, rollout.toRevision);
      const { arm: before } = traffic.arm(endpoint, rollout.fallback!);
      const arms = { before, after, answered: total };
      const judged = judgeEndpoint(endpoint, arms, policy, looks, endpoints.length);
      watch.looks.set(endpoint, judged.looks);
      if (judged.objection === undefined) continue;
      watch.isOver = true;
      return object(set.name, rollout.toRevision, judged.objection);
    }
  }
}

function describeArm({ requests, errors, latency }: Arm): ArmView {
  const p95Us = latency.quantile(0.95);
  return { requests, errors, ...(p95Us === undefined ? {} : { p95Ms: p95Us / 1000 }) };
}

function isWatched({ current }: StoredSet, rollout: RolloutRecord, nowMs: number): boolean {
  if (rollout.toRevision !== current.revision || rollout.fallback === undefined) return false;
  if (current.specification.rollout.rollback === false || rollout.state === "failed") return false;
  return rollout.endedAtMs === undefined || nowMs - rollout.endedAtMs < limits.judgedAfterMs;
}

function policyOf({ current }: StoredSet): RollbackPolicy {
  return current.specification.rollout.rollback || rollbackDefault;
}

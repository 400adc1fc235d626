/**
 * Watches how new revisions answer, from their first request to some minutes after their rollout is done, and objects to
 * the bad ones: outcomes → `deployment/traffic` → here → `deployment/judge` → the controller, which undoes them.
 * Where there is traffic, the first replicas of a revision replace no others before it has answered enough to be judged.
 */
import type { Clock } from "../clock.ts";
import { chooseKept, describeComparison, weightier } from "../deployment/comparison.ts";
import { isOpen, type RolloutRecord } from "../deployment/facts.ts";
import { judgeEndpoint, type Looks, noLooks } from "../deployment/judge.ts";
import type { Traffic } from "../deployment/traffic.ts";
import { limits } from "../limits.ts";
import { rollbackDefault, type RollbackPolicy } from "../protocol/revision.ts";
import type { ComparisonView } from "../protocol/views.ts";
import type { StoredSet } from "../store/deployments.ts";
import type { RolloutHistory } from "../store/rollout_history.ts";

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
  /** Keeps what rollouts were judged by. */
  history: Pick<RolloutHistory, "saveJudged" | "judged">;
}

/** One rollout under watch. */
interface Watched {
  rollout: Pick<RolloutRecord, "replicaSet" | "toRevision" | "fallback" | "startedAtMs">;
  looks: Map<string, Looks>;
  /** Since when the revision gets requests, monotonic ms. */
  servingSinceMs?: number;
  isDecided: boolean;
  /** Somebody was told that it is undecided, and waits for word that it is not any more. */
  isAwaited: boolean;
  /** Of each endpoint the comparison that says most; the one that was objected to is left as it was. */
  compared: Map<string, ComparisonView>;
  /** The endpoint that was found bad: nothing is judged any more. */
  objectedTo?: string;
  /** What is stored of it, as text. */
  stored: string;
  isEndStored: boolean;
  /** Nothing is stored before, monotonic ms: the disk is full. */
  storeAfterMs: number;
  /** When it was not watched any more, monotonic ms. */
  leftMs?: number;
}

export class Judge {
  readonly #options: JudgeOptions;
  /** By `watchKey`. */
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

  /** What a rollout is judged by, by endpoint: now, or once it is over; empty while nothing is known here. */
  figures(replicaSet: string): ComparisonView[] {
    const { clock, sets, rollout: rolloutOf } = this.#options;
    const set = sets().find(({ name }) => name === replicaSet);
    const rollout = rolloutOf(replicaSet);
    if (!set || !rollout || !isWatched(set, rollout, clock.nowMs())) return [];
    if (isOpen(rollout.state)) return [...this.#compareNow(rollout)];
    const watch = this.#watched.get(watchKey(rollout));
    return watch ? [...this.#compare(watch).values()] : [];
  }

  /** What is watched still is stored as it is: the next manager goes on with it. */
  close(): void {
    for (const stop of this.#stop) stop();
    for (const watch of this.#watched.values()) this.#store(watch);
  }

  #look(): void {
    const { clock } = this.#options;
    const current = new Set<Watched>();
    for (const set of this.#options.sets()) {
      const rollout = this.#options.rollout(set.name);
      if (!rollout || !isWatched(set, rollout, clock.nowMs())) continue;
      const watch = this.#watchOf(rollout);
      current.add(watch);
      if (watch.objectedTo === undefined) this.#judge(set, rollout, watch);
      if (!isOpen(rollout.state) && !watch.isEndStored) watch.isEndStored = this.#store(watch);
      if (watch.isAwaited && !this.isUndecided(set, rollout)) {
        watch.isAwaited = false;
        this.#options.decided();
      }
    }
    this.#leave(current);
  }

  /** What is not watched any more goes once it is stored; a disk that takes nothing is waited for, but not for ever. */
  #leave(current: ReadonlySet<Watched>): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [key, watch] of this.#watched) {
      if (current.has(watch)) continue;
      watch.leftMs ??= nowMs;
      if (this.#store(watch) || nowMs - watch.leftMs > limits.judgedAfterMs) this.#watched.delete(key);
    }
  }

  /** A revision that is rolled out once more starts with a clean slate; a rollout that an earlier manager watched goes on. */
  #watchOf(rollout: RolloutRecord): Watched {
    const key = watchKey(rollout);
    const known = this.#watched.get(key);
    if (known) return known;
    const { clock, traffic, history } = this.#options;
    const { replicaSet, toRevision, fallback, startedAtMs } = rollout;
    for (const earlier of this.#watched.values()) {
      if (earlier.rollout.replicaSet === replicaSet) this.#compare(earlier);
    }
    traffic.forget(replicaSet, toRevision, clock.nowMs());
    const stored = history.judged(replicaSet, startedAtMs);
    const fresh: Watched = {
      rollout: { replicaSet, toRevision, fallback, startedAtMs },
      looks: new Map(),
      isDecided: false,
      isAwaited: false,
      compared: new Map(stored.map((each) => [each.endpoint, each])),
      stored: JSON.stringify(stored),
      isEndStored: false,
      storeAfterMs: -Infinity,
    };
    this.#watched.set(key, fresh);
    return fresh;
  }

  /** As of now, of each endpoint that the new revision has answered. */
  *#compareNow(
    { replicaSet, toRevision, fallback }: Watched["rollout"],
  ): Generator<ComparisonView> {
    const { traffic, endpoints } = this.#options;
    for (const endpoint of endpoints(replicaSet)) {
      if (traffic.requests(endpoint, toRevision).inArm === 0) continue;
      const before = traffic.arm(endpoint, fallback!).arm;
      yield describeComparison(endpoint, { before, after: traffic.arm(endpoint, toRevision).arm });
    }
  }

  /** What it was judged by until now. */
  #compare({ rollout, compared, objectedTo }: Watched): Map<string, ComparisonView> {
    for (const now of this.#compareNow(rollout)) {
      if (now.endpoint === objectedTo) continue;
      compared.set(now.endpoint, weightier(compared.get(now.endpoint), now));
    }
    return compared;
  }

  /** False when the disk takes nothing. */
  #store(watch: Watched): boolean {
    const { clock, history } = this.#options;
    if (clock.monotonicMs() < watch.storeAfterMs) return false;
    const { replicaSet, startedAtMs } = watch.rollout;
    const judged = chooseKept(this.#compare(watch).values(), watch.objectedTo);
    const text = JSON.stringify(judged);
    if (text === watch.stored) return true;
    try {
      history.saveJudged(replicaSet, startedAtMs, judged);
    } catch {
      watch.storeAfterMs = clock.monotonicMs() + limits.unsavedRetryMs;
      return false;
    }
    watch.stored = text;
    return true;
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
      const comparison = describeComparison(endpoint, arms);
      const isBad = judged.objection !== undefined;
      watch.compared.set(endpoint, isBad ? comparison : weightier(watch.compared.get(endpoint), comparison));
      if (judged.objection === undefined) continue;
      watch.objectedTo = endpoint;
      return object(set.name, rollout.toRevision, judged.objection);
    }
  }
}

function watchKey({ replicaSet, toRevision, startedAtMs }: RolloutRecord): string {
  return `${replicaSet} ${startedAtMs} ${toRevision}`;
}

function isWatched({ current }: StoredSet, rollout: RolloutRecord, nowMs: number): boolean {
  if (rollout.toRevision !== current.revision || rollout.fallback === undefined) return false;
  if (current.specification.rollout.rollback === false || rollout.state === "failed") return false;
  return rollout.endedAtMs === undefined || nowMs - rollout.endedAtMs < limits.judgedAfterMs;
}

function policyOf({ current }: StoredSet): RollbackPolicy {
  return current.specification.rollout.rollback || rollbackDefault;
}

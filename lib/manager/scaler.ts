/**
 * Scales sets whose specification leaves the number to the load: dispatcher's counters → `deployment/scale` each second →
 * store → controller. A request for a set that sleeps wakes it at once.
 */
import type { RoutingTable } from "../cluster/routing.ts";
import type { Clock } from "../clock.ts";
import {
  askedReplicas,
  type Bounds,
  type ScaleMemory,
  startScaling,
  stepScale,
  wantedNow,
} from "../deployment/scale.ts";
import { describeError } from "../errors.ts";
import type { DispatcherSnapshot } from "../scheduling/dispatcher.ts";
import type { DeploymentStore, StoredSet } from "../store/deployments.ts";
import type { RecordEvent } from "./events.ts";
import { counted } from "../words.ts";

export interface ScalerOptions {
  clock: Clock;
  store: DeploymentStore;
  sets(): readonly StoredSet[];
  load(): DispatcherSnapshot;
  record: RecordEvent;
  /** Stored sets changed. */
  changed(): void;
}

const stepMs = 1000;

export class Scaler {
  readonly #options: ScalerOptions;
  readonly #stop: () => void;
  #memories = new Map<string, ScaleMemory>();
  /** Sets that were woken and are not ready yet: since when. */
  #waking = new Map<string, number>();
  #coldStarts = new Map<string, number>();

  constructor(options: ScalerOptions) {
    this.#options = options;
    this.#stop = options.clock.every(stepMs, () => this.#step());
  }

  /** How long the last waking of a set took, ms. */
  coldStartMs(name: string): number | undefined {
    return this.#coldStarts.get(name);
  }

  /** A request waits for a set of which nothing is ready. */
  starved(name: string): void {
    if (this.#waking.has(name)) return;
    const set = this.#options.sets().find((each) => each.name === name);
    if (!set || !boundsOf(set) || wantedNow(set) !== 0) return;
    const { clock, record } = this.#options;
    this.#waking.set(name, clock.monotonicMs());
    // Not within the dispatcher, which is in the middle of that request.
    queueMicrotask(() => {
      this.#memories.set(name, startScaling(clock.monotonicMs()));
      if (this.#scale(set, 1)) record("info", "scaled", name, `${name} wakes up for a request`);
    });
  }

  /** The routes changed: what was woken may be ready. */
  routed(routes: RoutingTable): void {
    const { clock, record } = this.#options;
    for (const [name, sinceMs] of this.#waking) {
      const set = routes.sets.get(name);
      if (set && set.replicas.length === 0) continue;
      this.#waking.delete(name);
      if (!set) continue;
      const coldStartMs = Math.round(clock.monotonicMs() - sinceMs);
      this.#coldStarts.set(name, coldStartMs);
      record("info", "woken", name, `${name} was ready ${coldStartMs} ms after the request that woke it`);
    }
  }

  close(): void {
    this.#stop();
  }

  #step(): void {
    const { clock, record } = this.#options;
    const scaled = this.#options.sets().filter((set) => boundsOf(set) !== undefined);
    const names = new Set(scaled.map(({ name }) => name));
    for (const name of this.#memories.keys()) if (!names.has(name)) this.#memories.delete(name);
    if (scaled.length === 0) return;
    const nowMs = clock.monotonicMs();
    const { sets, replicas } = this.#options.load();
    for (const set of scaled) {
      const load = sets.get(set.name);
      // Between bounds it is a number.
      const current = wantedNow(set) as number;
      const { memory, wanted } = stepScale(
        this.#memories.get(set.name) ?? startScaling(nowMs),
        boundsOf(set)!,
        {
          nowMs,
          current,
          ready: replicas.filter(({ replicaSet, slots }) => replicaSet === set.name && slots > 0).length,
          slots: load?.slots ?? 0,
          running: load?.outstanding ?? 0,
          waiting: load?.queued ?? 0,
        },
      );
      this.#memories.set(set.name, memory);
      if (wanted === current || (current === 0 && load?.queued === 0)) continue;
      if (!this.#scale(set, wanted)) continue;
      const why = wanted === 0
        ? "nobody has called it for a while"
        : `${load?.outstanding ?? 0} running and ${load?.queued ?? 0} waiting`;
      record(
        "info",
        "scaled",
        set.name,
        `${set.name} goes from ${current} to ${counted(wanted, "replica")}: ${why}`,
      );
    }
  }

  /** False when the disk takes nothing: the controller reads what is stored, so this is told and tried again. */
  #scale(set: StoredSet, wanted: number): boolean {
    // What goes back to sleep, or was not woken, is woken anew by the next request.
    if (wanted === 0) this.#waking.delete(set.name);
    try {
      this.#options.store.setScaledTo(set.name, wanted);
    } catch (thrown) {
      const message = `${set.name} could not be scaled to ${wanted}: ${describeError(thrown)}`;
      this.#options.record("error", "scale_unsaved", set.name, message);
      this.#waking.delete(set.name);
      return false;
    }
    this.#options.changed();
    return true;
  }
}

function boundsOf(set: StoredSet): Bounds | undefined {
  const asked = askedReplicas(set);
  return typeof asked === "object" ? asked : undefined;
}

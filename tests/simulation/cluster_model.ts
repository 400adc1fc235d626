/**
 * A manager with one replicaSet, simulated: clients, a queue, the real policy and the real limits, and models of
 * replicas. Everything follows from the seed.
 */
import { createSeededRandom, type Random } from "../../lib/random.ts";
import { Capacity } from "../../lib/scheduling/capacity.ts";
import { choose, smoothRunUs } from "../../lib/scheduling/policy.ts";
import { EventQueue } from "./events.ts";
import { ReplicaModel, type ReplicaModelOptions, type Work } from "./replica_model.ts";

/** So many requests outstanding all the time, or so many per second whatever comes back. */
export interface Load {
  outstanding?: number;
  perSecond?: number;
  fromMs?: number;
  toMs?: number;
  work(random: Random): Work;
}

export interface ClusterOptions {
  seed: number;
  replicas: ReplicaModelOptions[];
  loads: Load[];
  /** A static limit for each replica, instead of the adaptive one. */
  slots?: number;
  choose?: typeof choose;
}

/** What may wait in the queue; more is refused. */
const queueMax = 1000;
/** How often the limits are noted down, and given a chance to rest. */
const sampleMs = 50;
const restMs = 1000;

class SimulatedReplica {
  outstanding = 0;
  runUs = 0;
  runObservedMs = 0;
  available = true;
  done = 0;
  constructor(readonly model: ReplicaModel, readonly capacity: Capacity) {}
  get slots(): number {
    return this.capacity.slots;
  }
}

interface Finished {
  atMs: number;
  /** With the time in the manager's queue. */
  totalMs: number;
  /** Without it. */
  roundTripMs: number;
}

export class ClusterModel {
  readonly events = new EventQueue();
  readonly replicas: SimulatedReplica[];
  readonly finished: Finished[] = [];
  readonly limits: { atMs: number; slots: number[] }[] = [];
  refused = 0;
  readonly #random: Random;
  readonly #choose: typeof choose;
  #queue: { work: Work; atMs: number; ended: () => void }[] = [];
  #head = 0;
  /** Out of the queue since the start. */
  #taken = 0;

  constructor(options: ClusterOptions) {
    this.#random = createSeededRandom(options.seed);
    this.#choose = options.choose ?? choose;
    this.replicas = options.replicas.map((replica) =>
      new SimulatedReplica(
        new ReplicaModel(this.events, replica),
        new Capacity(options.slots ?? replica.cores, options.slots === undefined, 0),
      )
    );
    for (const load of options.loads) this.#offer(load);
    this.#note(0);
  }

  run(untilMs: number): this {
    this.events.run(untilMs);
    return this;
  }

  /** How many wait for a slot. */
  get queued(): number {
    return this.#queue.length - this.#head;
  }

  /** Admits one more request and runs until it is on a replica; how long it waited for that. */
  waitOfNextMs(): number {
    const admittedMs = this.events.nowMs;
    const place = this.#taken + this.queued;
    this.#admit({ cpuMs: 0, waitMs: 0, lateCpuMs: 0 }, () => {});
    while (this.#taken <= place) this.run(this.events.nowMs + 1);
    return this.events.nowMs - admittedMs;
  }

  /** Requests per second that ended between the two. */
  perSecond(fromMs: number, toMs: number): number {
    return this.#between(fromMs, toMs).length / (toMs - fromMs) * 1000;
  }

  /** Of the time since dispatch, or of the whole. */
  quantileMs(q: number, fromMs: number, toMs: number, of: "totalMs" | "roundTripMs" = "roundTripMs"): number {
    const sorted = this.#between(fromMs, toMs).map((one) => one[of]).sort((a, b) => a - b);
    return sorted[Math.floor(q * (sorted.length - 1))] ?? NaN;
  }

  /** The limits of one replica in that time. */
  slotsOf(replica: number, fromMs: number, toMs: number): number[] {
    return this.limits.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ slots }) => slots[replica]);
  }

  #between(fromMs: number, toMs: number): Finished[] {
    return this.finished.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
  }

  #note(atMs: number): void {
    this.limits.push({ atMs, slots: this.replicas.map(({ slots }) => slots) });
    if (atMs % restMs === 0) { for (const { capacity } of this.replicas) capacity.rest(atMs); }
    this.events.at(atMs + sampleMs, () => this.#note(atMs + sampleMs));
  }

  #offer({ outstanding = 0, perSecond = 0, fromMs = 0, toMs = Infinity, work }: Load): void {
    const again = () => {
      if (this.events.nowMs < toMs) this.#admit(work(this.#random), again);
    };
    for (let i = 0; i < outstanding; i++) this.events.at(fromMs, again);
    if (perSecond === 0) return;
    const next = () => {
      if (this.events.nowMs >= toMs) return;
      this.#admit(work(this.#random), () => {});
      this.events.after(-Math.log(1 - this.#random.next()) * 1000 / perSecond, next);
    };
    this.events.at(fromMs, next);
  }

  #admit(work: Work, ended: () => void): void {
    if (this.queued >= queueMax) this.refused++;
    else this.#queue.push({ work, atMs: this.events.nowMs, ended });
    this.#pump();
  }

  #pump(): void {
    while (this.#head < this.#queue.length) {
      const replica = this.#choose(this.replicas, this.events.nowMs, this.#random);
      if (!replica) break;
      const { work, atMs, ended } = this.#queue[this.#head++];
      this.#taken++;
      this.#dispatch(replica, work, atMs, ended);
    }
    if (this.#head < 1024) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  #dispatch(replica: SimulatedReplica, work: Work, admittedMs: number, ended: () => void): void {
    const sentMs = this.events.nowMs;
    replica.outstanding++;
    replica.model.send(work, (runUs) => {
      const { nowMs } = this.events;
      const waiting = this.queued > 0;
      replica.capacity.observe(nowMs - sentMs, runUs, replica.outstanding, waiting, nowMs);
      replica.outstanding--;
      replica.runUs = smoothRunUs(replica.runUs, runUs);
      replica.runObservedMs = nowMs;
      replica.done++;
      this.finished.push({ atMs: nowMs, totalMs: nowMs - admittedMs, roundTripMs: nowMs - sentMs });
      ended();
      this.#pump();
    });
  }
}

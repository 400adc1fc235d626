/**
 * A cluster small enough to run thousands of times: clients, one queue, replicas with cores, runners and a wire that
 * gets cheaper per frame the more travel at once. Discrete events, time in ms, all chance from one seed.
 * The real `Capacity` and `choose` decide; everything else is arithmetic.
 */
import { createSeededRandom } from "../../lib/random.ts";
import { Capacity } from "../../lib/scheduling/capacity.ts";
import { type Candidate, choose, smoothRunUs } from "../../lib/scheduling/policy.ts";

/** What a function does: works, waits for something else, works again. */
export interface Work {
  weight: number;
  cpuMs: number;
  waitMs: number;
  lastCpuMs?: number;
}

export interface ReplicaModel {
  cores: number;
  /** Times of its work and wire as a multiple; a function of time for slow phases. */
  slowness?: number | ((nowMs: number) => number);
  networkMs?: number;
}

export interface Scenario {
  seed: number;
  works: Work[] | ((nowMs: number) => Work[]);
  replicas: ReplicaModel[];
  /** Closed loop: this many requests in flight all the time, or as a function of time. */
  clients?: number | ((nowMs: number) => number);
  /** Open loop: requests per ms, at random. */
  rate?: number | ((nowMs: number) => number);
  durationMs: number;
  /** Another policy, to compare with. */
  choose?: typeof choose;
  /** A fixed limit instead of the adaptive one. */
  slots?: number;
}

export interface Observed {
  /** Replies by time, in buckets of `bucketMs`. */
  replies: number[];
  /** Sum of the times at a replica, from dispatch to reply, by bucket. */
  roundTripMs: number[];
  /** Largest and smallest limit of each replica, by bucket. */
  slots: { min: number; max: number }[][];
  /** Replies of each replica. */
  shares: number[];
  /** Times from request to reply of the second half. */
  latencies: number[];
}

export const bucketMs = 100;
/** A batch of frames costs this much, and each frame in it that much, on each of two hops. */
const batchMs = 0.15;
const frameMs = 0.012;
const batchFramesMax = 512;
/** How long until a runner that is needed is there. */
const runnerStartMs = 60;

interface Job {
  work: Work;
  arrivedMs: number;
  dispatchedMs: number;
  /** Requests in flight at its replica once it was sent. */
  sentInto: number;
  startedMs: number;
  runMs: number;
}

/** Events in the order of their time, equals in the order of their making. */
class Timeline {
  nowMs = 0;
  #heap: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;

  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    const entry = { atMs: this.nowMs + ms, order: this.#order++, run };
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(entry, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = entry;
  }

  runUntil(endMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0].atMs <= endMs) {
      const first = this.#take();
      this.nowMs = first.atMs;
      first.run();
    }
  }

  #take() {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], last)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(left: { atMs: number; order: number }, right: { atMs: number; order: number }): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
}

/** One direction of a connection: what comes while a batch is written goes with the next. */
class Wire {
  #waiting: Job[] = [];
  #writing = false;

  constructor(
    readonly timeline: Timeline,
    readonly scale: () => number,
    readonly deliver: (job: Job) => void,
  ) {}

  send(job: Job): void {
    this.#waiting.push(job);
    if (!this.#writing) this.#write();
  }

  #write(): void {
    this.#writing = this.#waiting.length > 0;
    if (!this.#writing) return;
    const batch = this.#waiting.splice(0, batchFramesMax);
    this.timeline.after((batchMs + frameMs * batch.length) * this.scale(), () => {
      for (const job of batch) this.deliver(job);
      this.#write();
    });
  }
}

/** One thread: does one thing after the other. */
class Runner {
  outstanding = 0;
  #tasks: { ms: number; begin: () => void; end: () => void }[] = [];
  #busy = false;

  constructor(readonly timeline: Timeline, readonly scale: () => number) {}

  do(ms: number, begin: () => void, end: () => void): void {
    this.#tasks.push({ ms, begin, end });
    if (!this.#busy) this.#next();
  }

  #next(): void {
    const task = this.#tasks.shift();
    this.#busy = task !== undefined;
    if (!task) return;
    task.begin();
    this.timeline.after(task.ms * this.scale(), () => {
      task.end();
      this.#next();
    });
  }
}

class Replica implements Candidate {
  readonly capacity = new Capacity();
  readonly available = true;
  readonly lent = 0;
  outstanding = 0;
  runUs = 0;
  runObservedMs = 0;
  #runners: Runner[] = [];
  #starting = false;
  #in: Wire;
  #out: Wire;
  #scale: () => number;

  constructor(
    readonly timeline: Timeline,
    readonly model: ReplicaModel,
    readonly onReply: (replica: Replica, job: Job) => void,
  ) {
    const { slowness = 1, networkMs = 0 } = model;
    this.#scale = typeof slowness === "function" ? () => slowness(timeline.nowMs) : () => slowness;
    this.#in = new Wire(
      timeline,
      this.#scale,
      (job) => timeline.after(networkMs / 2, () => this.#begin(job)),
    );
    this.#out = new Wire(
      timeline,
      this.#scale,
      (job) => timeline.after(networkMs / 2, () => onReply(this, job)),
    );
    this.#runners.push(new Runner(timeline, this.#scale));
  }

  get slots(): number {
    return this.capacity.slots;
  }

  run(job: Job): void {
    job.sentInto = ++this.outstanding;
    job.dispatchedMs = this.timeline.nowMs;
    this.#in.send(job);
  }

  #begin(job: Job): void {
    let runner = this.#runners[0];
    for (const one of this.#runners) if (one.outstanding < runner.outstanding) runner = one;
    if (runner.outstanding > 0) this.#grow();
    runner.outstanding++;
    const { cpuMs, waitMs, lastCpuMs = 0 } = job.work;
    const done = () => {
      runner.outstanding--;
      job.runMs = this.timeline.nowMs - job.startedMs;
      this.#out.send(job);
    };
    const begin = () => {
      job.startedMs = this.timeline.nowMs;
    };
    const last = () => lastCpuMs > 0 ? runner.do(lastCpuMs, () => {}, done) : done();
    runner.do(cpuMs, begin, () => waitMs > 0 ? this.timeline.after(waitMs, last) : last());
  }

  #grow(): void {
    if (this.#starting || this.#runners.length >= this.model.cores) return;
    this.#starting = true;
    this.timeline.after(runnerStartMs, () => {
      this.#starting = false;
      this.#runners.push(new Runner(this.timeline, this.#scale));
    });
  }
}

/** Runs it to its end. The same scenario gives the same result. */
export function simulate(scenario: Scenario): Observed {
  const { works, replicas: models, clients = 0, rate = 0, durationMs } = scenario;
  const random = createSeededRandom(scenario.seed);
  const timeline = new Timeline();
  const buckets = Math.ceil(durationMs / bucketMs);
  const observed = createObserved(buckets, models.length);
  const queue: Job[] = [];
  let head = 0;
  let inFlight = 0;
  const worksNow = typeof works === "function" ? works : () => works;
  const clientsNow = typeof clients === "function" ? clients : () => clients;
  const rateNow = typeof rate === "function" ? rate : () => rate;

  const pump = () => {
    while (head < queue.length) {
      const replica = (scenario.choose ?? choose)(replicas, timeline.nowMs, random);
      if (!replica) return;
      replica.run(queue[head++]);
      if (head > 4096) queue.splice(0, head), head = 0;
    }
  };
  const arrive = () => {
    inFlight++;
    queue.push(createJob(pick(worksNow(timeline.nowMs), random.next()), timeline.nowMs));
    pump();
  };
  const fill = () => {
    while (inFlight < clientsNow(timeline.nowMs)) arrive();
  };
  const onReply = (replica: Replica, job: Job) => {
    const { nowMs } = timeline;
    const bucket = Math.min(buckets - 1, Math.floor(nowMs / bucketMs));
    observed.replies[bucket]++;
    observed.roundTripMs[bucket] += nowMs - job.dispatchedMs;
    observed.shares[replicas.indexOf(replica)]++;
    if (nowMs > durationMs / 2) observed.latencies.push(nowMs - job.arrivedMs);
    replica.runUs = smoothRunUs(replica.runUs, job.runMs * 1000);
    replica.runObservedMs = nowMs;
    const { dispatchedMs, runMs, sentInto } = job;
    replica.capacity.observe(nowMs, nowMs - dispatchedMs, runMs * 1000, sentInto, replica.outstanding);
    replica.outstanding--;
    inFlight--;
    noteSlots(observed.slots[bucket], replicas.indexOf(replica), replica.slots);
    fill();
    pump();
  };
  const replicas = models.map((model) => new Replica(timeline, model, onReply));
  for (const replica of replicas) {
    replica.capacity.configure(scenario.slots ?? replica.model.cores, scenario.slots === undefined);
  }
  const tick = () => {
    fill();
    timeline.after(bucketMs / 10, tick);
  };
  const arriveAtRandom = () => {
    const perMs = rateNow(timeline.nowMs);
    if (perMs > 0) arrive();
    timeline.after(perMs > 0 ? -Math.log(1 - random.next()) / perMs : bucketMs, arriveAtRandom);
  };
  tick();
  if (rate) arriveAtRandom();
  timeline.runUntil(durationMs);
  return observed;
}

function createObserved(buckets: number, replicas: number): Observed {
  return {
    replies: new Array(buckets).fill(0),
    roundTripMs: new Array(buckets).fill(0),
    slots: Array.from({ length: buckets }, () => []),
    shares: new Array(replicas).fill(0),
    latencies: [],
  };
}

function createJob(work: Work, arrivedMs: number): Job {
  return { work, arrivedMs, dispatchedMs: 0, sentInto: 0, startedMs: 0, runMs: 0 };
}

function noteSlots(ranges: { min: number; max: number }[], replica: number, slots: number): void {
  const range = ranges[replica] ??= { min: Infinity, max: 0 };
  range.min = Math.min(range.min, slots);
  range.max = Math.max(range.max, slots);
}

function pick(works: Work[], chance: number): Work {
  let weight = chance * works.reduce((sum, work) => sum + work.weight, 0);
  return works.find((work) => (weight -= work.weight) < 0) ?? works[0];
}

/** Requests per second between two moments. */
export function throughput(observed: Observed, fromMs: number, toMs: number): number {
  const replies = observed.replies.slice(fromMs / bucketMs, toMs / bucketMs).reduce((sum, n) => sum + n, 0);
  return replies / ((toMs - fromMs) / 1000);
}

/** Smallest and largest limit of one replica between two moments. */
export function slotsBetween(observed: Observed, replica: number, fromMs: number, toMs: number) {
  const ranges = observed.slots.slice(fromMs / bucketMs, toMs / bucketMs)
    .map((bucket) => bucket[replica]).filter((range) => range);
  return { min: Math.min(...ranges.map(({ min }) => min)), max: Math.max(...ranges.map(({ max }) => max)) };
}

/** Mean requests in flight at all replicas between two moments (Little). */
export function inFlight(observed: Observed, fromMs: number, toMs: number): number {
  const sum = observed.roundTripMs.slice(fromMs / bucketMs, toMs / bucketMs).reduce((sum, ms) => sum + ms, 0);
  return sum / (toMs - fromMs);
}

/** The best throughput that any fixed limit gives. */
export function bestStatic(scenario: Scenario, fromMs: number): { slots: number; perSecond: number } {
  let best = { slots: 0, perSecond: 0 };
  for (let slots = 1; slots <= 1024; slots *= 4) {
    const perSecond = throughput(simulate({ ...scenario, slots }), fromMs, scenario.durationMs);
    // The smallest of those that are as good: more slots must buy something.
    if (perSecond > best.perSecond * 1.02) best = { slots, perSecond };
  }
  return best;
}

/**
 * What scheduling holds in memory: requesters, their pending requests, replicas, agents' links and sets. They refer to
 * each other, so they share a file. On the way: made by `dispatcher` and `fleet`, read by everything here.
 * The invariants: a request is answered exactly once; its slot is given back exactly once, which may be later.
 */
import type { RoutedSet } from "../cluster/routing.ts";
import { IdTable } from "../id_table.ts";
import { limits } from "../limits.ts";
import { Flag, frameFlags, setFrameA, setFrameB, setFrameId, setFrameRequestId } from "../protocol/frame.ts";
import { WheelEntry } from "../timer_wheel.ts";
import { Capacity } from "./capacity.ts";
import { type Candidate, smoothRunUs } from "./policy.ts";
import { FairQueue, type QueueNode } from "./queue.ts";
import { RoundTrip, ServiceRate } from "./service_rate.ts";

/** Where frames go; a `Channel` satisfies it. Must not throw when its peer is gone. */
export interface FrameSink {
  sendFrames(bytes: Uint8Array, at?: number, end?: number): void;
  /** Nobody but the sink needs the frame `bytes[at, end)` any more, which was sent: a large one's memory may be given back. */
  freeWhenWritten?(bytes: Uint8Array, at: number, end: number): void;
  /** So much waits for it that it gets no more requests, nor has more of its own run; until `Dispatcher.drained()`. */
  readonly jammed?: boolean;
}

/**
 * Whoever sends requests: a client's connection, an HTTP request, or an agent on behalf of its modules. Known by its
 * object; `requesterGone` must follow when it ends before its requests do.
 */
export interface Requester {
  /** Whom the queues are fair between; requesters may share one. */
  readonly id: string;
  /** The user's name, for outcomes. */
  readonly describe: string;
  readonly sink: FrameSink;
  /** The agent whose modules it stands for: its requests are nested in those that run there. */
  readonly agent?: string;
  mayInvoke(endpoint: string): boolean;
}

/**
 * `queued` → `running` → `done`. `abandoned`: answered (deadline, cancel, requester gone), but the agent hasn't
 * confirmed yet and the slot is taken.
 */
export type Phase = "queued" | "running" | "abandoned" | "done";

export class Pending extends WheelEntry {
  phase: Phase = "queued";
  /** Of runs that may have happened: counts up when an agent is lost, not when it gives the request back unrun. */
  attempt = 1;
  node: QueueNode<Pending> | null = null;
  /** Time spent in the queue before `queuedMs`. */
  waitedMs = 0;
  queuedMs: number;
  dispatchedMs = 0;
  /** In flight at its replica when it was sent, itself included. */
  sentInto = 0;
  link: AgentLink | null = null;
  replica: Replica | null = null;
  /** Of its endpoint. */
  roundTrip: RoundTrip | null = null;
  /** Its id towards the agent. */
  runId = 0;
  /** It was when its turn came. */
  tooLate = false;
  /** Parts have gone out, so it can't be run again. */
  streaming = false;
  /** Whose module made it while it ran there. */
  caller: Pending | null = null;
  /** Its module's own requests that have no outcome yet; while there are any, its slot is lent to such requests. */
  #calls = 0;
  #lends = false;

  constructor(
    readonly requester: Requester,
    /** The requester's id for it. */
    readonly clientId: number,
    readonly endpoint: string,
    public set: SetState,
    /** The lower half of its request id. */
    readonly number: number,
    readonly admittedMs: number,
    deadlineMs: number,
    /** The request frame is `bytes[at, end)`. */
    public bytes: Uint8Array,
    public at: number,
    public end: number,
  ) {
    super(deadlineMs);
    this.queuedMs = admittedMs;
  }

  /** Its reply has come: what all that decide learn from it. */
  learn(runUs: number, nowMs: number): void {
    const replica = this.replica!;
    replica.runUs = smoothRunUs(replica.runUs, runUs);
    replica.runObservedMs = nowMs;
    const roundTripMs = nowMs - this.dispatchedMs;
    replica.capacity.observe(nowMs, roundTripMs, runUs, this.sentInto, replica.outstanding);
    this.set.roundTrip.observe(roundTripMs);
    this.roundTrip!.observe(roundTripMs);
  }

  get isNested(): boolean {
    return this.requester.agent !== undefined;
  }

  /** Its module makes a request; true when its slot is lent from now on. */
  beginCall(): boolean {
    this.#calls++;
    if (this.#lends) return false;
    this.replica!.lent++;
    return this.#lends = true;
  }

  endCall(): void {
    if (--this.#calls === 0) this.takeSlotBack();
  }

  /** Called before it gives its slot back, too. */
  takeSlotBack(): void {
    if (this.#lends) this.replica!.lent--;
    this.#lends = false;
  }

  get mayHaveRun(): boolean {
    return this.phase === "running" || this.attempt > 1;
  }

  /** Writes run id, remaining ms, replica and attempt into the frame's header, for its agent. */
  address(nowMs: number): void {
    const { bytes, at } = this;
    setFrameId(bytes, at, this.runId);
    setFrameA(bytes, at, Math.max(1, Math.round(this.deadlineMs - nowMs)));
    setFrameB(bytes, at, ((this.replica!.handle << 8) | this.attempt) >>> 0);
  }

  /** Sends an agent's frame on to the requester, under the requester's own id and within the same bytes. */
  deliver(epoch: number, bytes: Uint8Array, at: number, end: number): void {
    setFrameId(bytes, at, this.clientId);
    setFrameRequestId(bytes, at, epoch, this.number);
    const { sink } = this.requester;
    sink.sendFrames(bytes, at, end);
    sink.freeWhenWritten?.(bytes, at, end);
  }

  /**
   * Its reply has come: nobody needs the frame any more. Unless an agent was lost before, whose connection may still be
   * writing it. Called last of all.
   */
  freeRequest(): void {
    if (this.attempt === 1) this.link!.sink.freeWhenWritten?.(this.bytes, this.at, this.end);
  }

  /**
   * Before it goes into the queue: copies the frame out of a larger message, which it would keep in memory whole.
   * What runs is kept as it is: there are only as many as slots.
   */
  wait(nowMs: number): void {
    this.phase = "queued";
    this.queuedMs = nowMs;
    if ((this.end - this.at) * 2 > this.bytes.buffer.byteLength) return;
    this.bytes = this.bytes.slice(this.at, this.end);
    this.end -= this.at;
    this.at = 0;
  }

  /**
   * It has waited for more than half of its time, and has less left than it takes: a slot for it would be lost for those
   * behind it, who would then be late as well, and so on.
   */
  isTooLate(runMs: number, nowMs: number): boolean {
    return this.tooLate = this.deadlineMs - nowMs <= Math.min(runMs, (this.deadlineMs - this.admittedMs) / 2);
  }

  /** After a run whose outcome is unknown. `idempotent`: its endpoint says so; the request itself may, too. */
  mayRunAgain(idempotent: boolean, nowMs: number): boolean {
    const isIdempotent = idempotent || (frameFlags(this.bytes, this.at) & Flag.idempotent) !== 0;
    return isIdempotent && !this.streaming && this.attempt < limits.attemptsMax && this.deadlineMs > nowMs;
  }

  /** Out of the queue, from wherever it stands there. */
  leave(): void {
    this.set.queue.remove(this.node!);
    this.node = null;
  }
}

/** A connected agent and what runs there, by the id the agent knows it by. */
export class AgentLink {
  readonly running = new IdTable<Pending>();
  #runId = 0;

  constructor(readonly name: string, readonly sink: FrameSink) {}

  takeRunId(): number {
    do this.#runId = this.#runId === runIdMax ? 1 : this.#runId + 1; while (this.running.has(this.#runId));
    return this.#runId;
  }
}

/** Run ids stay small integers, which cost no memory of their own; the count comes round and skips those in use. */
const runIdMax = 0x3fff_ffff;

/** One replica as a candidate. */
export class Replica implements Candidate {
  handle = 0;
  readonly capacity = new Capacity();
  readonly service = new ServiceRate();
  outstanding = 0;
  lent = 0;
  runUs = 0;
  runObservedMs = 0;
  /** In the routing table now. */
  routed = false;
  /** It has just given a request back unrun. */
  held = false;
  /** Its agent is lost again and again: others are asked first. */
  damped = false;
  link: AgentLink | null = null;

  constructor(readonly agent: string, readonly replicaSet: string, readonly revision: number) {}

  get slots(): number {
    return this.capacity.slots;
  }

  get available(): boolean {
    return this.routed && this.link !== null && !this.held && !this.link.sink.jammed;
  }

  /** Takes a slot; how many are taken then. */
  take(nowMs: number): number {
    this.service.take(nowMs, ++this.outstanding >= this.capacity.slots);
    return this.outstanding;
  }

  giveBack(nowMs: number, served: boolean): void {
    this.service.giveBack(nowMs, --this.outstanding >= this.capacity.slots, served);
  }
}

/** One replicaSet with its queue. It outlives the table only while requests of it run. */
export class SetState {
  readonly queue = new FairQueue<Pending>(
    (pending) => pending.end - pending.at,
    (pending) => pending.requester.sink.jammed === true,
    (pending) => pending.isNested,
  );
  /** When an endpoint that now has no ready replica last had one, monotonic ms. */
  readonly lastReadyMs = new Map<string, number>();
  /** Of all endpoints together. */
  readonly roundTrip = new RoundTrip();
  replicas: Replica[] = [];
  /** A pump is under way further up the stack. */
  pumping = false;

  constructor(public routed: RoutedSet) {}
}

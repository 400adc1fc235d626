/**
 * From an admitted request to its one outcome: the only place that decides where a request runs, and whether again.
 * On the way: client's frame → admission → queue → policy → agent, and the reply back by id.
 * The invariants: every admitted request gets exactly one outcome; a slot taken is given back exactly once; no slot
 * is free while something waits that could use it; what isn't idempotent is never run again once it may have run
 * (docs/decisions/0008). On success a frame's header is rewritten in place and nothing is copied or decoded.
 */
import type { Clock } from "../clock.ts";
import { lookup, type RoutingTable } from "../cluster/routing.ts";
import { type ErrorCode, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import {
  CancelReason,
  encodeFrame,
  frameA,
  frameB,
  frameId,
  frameOp,
  Op,
  setFrameB,
  setFrameRequestId,
} from "../protocol/frame.ts";
import type { Random } from "../random.ts";
import { emptyOutcome } from "../request_outcome.ts";
import { TimerWheel } from "../timer_wheel.ts";
import * as admission from "./admission.ts";
import type { DispatcherOptions } from "./dispatcher_options.ts";
import { chooseFor, Fleet, type Target } from "./fleet.ts";
import { InFlight } from "./in_flight.ts";
import * as outcomes from "./outcomes.ts";
import { type DispatcherSnapshot, snapshotOf } from "./snapshot.ts";
import { type FrameSink, Pending, type Replica, type Requester, type SetState } from "./state.ts";

export type { DispatcherOptions, DispatcherSnapshot, FrameSink, Requester };

/** A dispatcher over the table that `routes` gives now. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  return new Dispatcher(options);
}

export class Dispatcher {
  #options: DispatcherOptions;
  #clock: Clock;
  #random: Random;
  #epoch: number;
  #table: RoutingTable;
  #fleet = new Fleet();
  #deadlines: TimerWheel<Pending>;
  #inFlight = new InFlight();
  #requestNumber = 0;
  #outcome = emptyOutcome();
  #cancelHold: (() => void) | null = null;
  #pumpedAtMs = 0;
  readonly #canServe = (endpoint: string, isNested: boolean): boolean =>
    this.#fleet.canServe(endpoint, isNested);
  readonly #isTooLate = (pending: Pending): boolean =>
    pending.isTooLate(this.#fleet.targets.get(pending.endpoint)!.roundTrip.meanMs, this.#pumpedAtMs);

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#epoch = options.bootEpoch >>> 0;
    this.#deadlines = new TimerWheel(options.clock, (pending) => this.#expire(pending));
    this.#table = options.routes();
    this.#fleet.apply(this.#table, options.clock.monotonicMs());
  }

  /**
   * Takes a `request` frame: it is run, queued, or refused by an error frame. `bytes[at, end)` becomes the
   * dispatcher's. `nowMs` saves a look at the clock for each frame of a batch.
   */
  admit(requester: Requester, bytes: Uint8Array, at: number, end: number, nowMs = this.nowMs()): void {
    const number = this.#requestNumber = (this.#requestNumber + 1) >>> 0;
    const id = frameId(bytes, at);
    const inFlight = this.#inFlight.of(requester);
    const malformed = admission.refuseFrame(bytes, at, end);
    if (malformed) return this.#refuse(requester, id, number, malformed);
    const { endpoint, target } = this.#fleet.named(bytes, at);
    const isNested = requester.agent !== undefined;
    const caller = isNested ? this.#fleet.running(requester.agent!, frameB(bytes, at)) : null;
    const refusal = admission.refuseRequester(requester, endpoint, id, inFlight.has(id)) ??
      admission.refuseDepth(endpoint, caller);
    if (refusal) return this.#refuse(requester, id, number, refusal);

    let set = target?.set;
    if (!set) {
      const found = lookup(this.#table, endpoint);
      if (found.kind === "none") return this.#refuse(requester, id, number, found.error);
      set = this.#fleet.sets.get(found.set.name)!;
    }
    const timeoutMs = target?.routed.timeoutMs ?? set.routed.timeoutMs;
    const deadlineMs = admission.deadlineAt(frameA(bytes, at), timeoutMs, nowMs);
    // Those that wait for the same endpoint go first; those that wait for another could not use a slot free for it.
    const mayRun = target && (set.queue.size === 0 || set.queue.waiting(endpoint) === 0) &&
      !requester.sink.jammed;
    const lends = caller !== null && caller.beginCall();
    const replica = mayRun ? chooseFor(target, nowMs, this.#random, isNested) : null;
    const full = admission.refuseShare(inFlight.size) ??
      (replica ? null : admission.refuseQueue(set) ??
        admission.refuseLate(requester, set, target, deadlineMs - nowMs, nowMs));
    if (full) {
      caller?.endCall();
      return this.#refuse(requester, id, number, full, endpoint);
    }

    setFrameRequestId(bytes, at, this.#epoch, number);
    const pending = new Pending(requester, id, endpoint, set, number, nowMs, deadlineMs, bytes, at, end);
    pending.caller = caller;
    this.#inFlight.add(pending);
    this.#deadlines.add(pending, nowMs);
    if (replica) this.#run(pending, target!, replica, nowMs);
    else this.#enqueue(pending, nowMs);
    if (lends) this.#pump(caller.set);
    // Those before it may all be of clients that do not read, and no reply may come that looks at the queue again.
    if (!mayRun && this.#canServe(endpoint, isNested)) this.#pump(set);
  }

  /** The requester gives up: answered with `cancelled` at once. An id that isn't in flight is ignored. */
  cancel(requester: Requester, id: number): void {
    const pending = this.#inFlight.of(requester).get(id);
    if (pending) this.#giveUp(pending, outcomes.cancelled(pending), true);
  }

  /** The requester of a stream takes `count` more parts. */
  credit(requester: Requester, id: number, count: number): void {
    const pending = this.#inFlight.of(requester).get(id);
    if (pending?.phase !== "running") return;
    pending.link!.sink.sendFrames(encodeFrame({ op: Op.credit, id: pending.runId, a: count }));
  }

  /** The requester's connection is gone: what waits is dropped, what runs is cancelled, nothing is sent to it. */
  requesterGone(requester: Requester): void {
    for (const pending of this.#inFlight.take(requester)) {
      this.#giveUp(pending, outcomes.cancelled(pending), false);
    }
  }

  /** Takes a `reply`, `part` or `error` frame of an agent; one that is late, or for no request of its, is dropped. */
  answer(agent: string, bytes: Uint8Array, at: number, end: number, nowMs = this.nowMs()): void {
    const link = this.#fleet.links.get(agent);
    const pending = link?.running.get(frameId(bytes, at));
    if (!pending) return;
    const op = frameOp(bytes, at);
    if (op === Op.reply) this.#onReply(pending, bytes, at, end, nowMs);
    else if (op === Op.part) this.#onPart(pending, bytes, at, end);
    else if (op === Op.error) this.#onError(pending, bytes, at, end, nowMs);
  }

  /** A client or an agent that had too much to read has room again. */
  drained(): void {
    this.#pumpAll();
  }

  /** An agent may get requests from now on. An older connection of the same agent counts as gone. */
  agentConnected(name: string, sink: FrameSink): void {
    if (this.#fleet.links.has(name)) this.agentGone(name, "it connected anew");
    this.#fleet.connect(name, sink);
    this.#pumpAll();
  }

  /** An agent is lost, or its connection closed: each request there is run again, or gets its outcome. */
  agentGone(name: string, reason: string): void {
    const link = this.#fleet.disconnect(name);
    if (!link) return;
    const nowMs = this.#clock.monotonicMs();
    const touched = new Set<SetState>();
    // Backwards, since each goes to the front: the earliest ends up first.
    const running = link.running.values().sort((left, right) => right.number - left.number);
    for (const pending of running) {
      const { phase } = pending;
      this.#release(pending, nowMs);
      if (phase === "abandoned") {
        this.#deadlines.remove(pending);
      } else if (this.#mayRunAgain(pending, nowMs)) {
        pending.attempt++;
        this.#enqueueAgain(pending, nowMs);
        touched.add(pending.set);
      } else {
        this.#fail(pending, outcomes.agentLost(pending, name, reason), true);
      }
    }
    for (const set of touched) this.#pump(set);
  }

  /** Takes over the table of `routes`. Requests for what no longer exists are answered, the rest stays. */
  routesChanged(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#table = this.#options.routes();
    for (const pending of this.#fleet.apply(this.#table, nowMs)) {
      this.#fail(pending, outcomes.removedMeanwhile(pending), true);
    }
    this.#pumpAll();
  }

  /** The time by the dispatcher's clock, for a batch of frames. */
  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Counters for views and metrics. */
  snapshot(): DispatcherSnapshot {
    return snapshotOf(this.#fleet);
  }

  /** Requests without their outcome, and deadlines that are watched: both 0 when nothing is asked for. */
  get watched(): { requests: number; deadlines: number } {
    return { requests: this.#inFlight.size, deadlines: this.#deadlines.size };
  }

  /** The manager stops: everything in flight is answered with `manager_lost`, all timers end. */
  close(): void {
    for (const pending of this.#inFlight.takeAll()) {
      this.#giveUp(pending, outcomes.managerStopping(pending), true);
    }
    this.#deadlines.close();
    this.#cancelHold?.();
  }

  #enqueue(pending: Pending, nowMs: number): void {
    pending.wait(nowMs);
    pending.node = pending.set.queue.push(pending.requester.id, pending.endpoint, pending);
    if (pending.set.replicas.length === 0) this.#options.onStarved?.(pending.set.routed.name);
  }

  /** Back to the front of the queue; what it is for may have gone while it was at the agent. */
  #enqueueAgain(pending: Pending, nowMs: number): void {
    const found = lookup(this.#table, pending.endpoint);
    const isGone = found.kind === "none" || found.set.closed !== undefined;
    if (isGone) return this.#fail(pending, outcomes.removedMeanwhile(pending), true);
    pending.set = this.#fleet.sets.get(found.set.name)!;
    pending.wait(nowMs);
    pending.node = pending.set.queue.pushFront(pending.requester.id, pending.endpoint, pending);
  }

  #pumpAll(): void {
    for (const set of this.#fleet.sets.values()) this.#pump(set);
  }

  /** Runs what waits while there are free slots for it. */
  #pump(set: SetState): void {
    // A sink that answers at once leads back here; the loop further up the stack then goes on.
    if (set.queue.size === 0 || set.pumping) return;
    set.pumping = true;
    const nowMs = this.#pumpedAtMs = this.#clock.monotonicMs();
    try {
      for (;;) {
        const pending = set.queue.shift(this.#canServe, this.#isTooLate);
        if (!pending) break;
        pending.node = null;
        const target = this.#fleet.targets.get(pending.endpoint)!;
        if (pending.tooLate) this.#expireQueued(pending, nowMs);
        else this.#run(pending, target, chooseFor(target, nowMs, this.#random, pending.isNested)!, nowMs);
      }
    } finally {
      set.pumping = false;
    }
  }

  #run(pending: Pending, target: Target, replica: Replica, nowMs: number): void {
    const link = replica.link!;
    const runId = link.takeRunId();
    pending.phase = "running";
    pending.waitedMs += nowMs - pending.queuedMs;
    pending.dispatchedMs = nowMs;
    pending.link = link;
    pending.replica = replica;
    pending.roundTrip = target.roundTrip;
    pending.runId = runId;
    pending.sentInto = replica.take(nowMs);
    link.running.add(runId, pending);
    pending.address(nowMs);
    link.sink.sendFrames(pending.bytes, pending.at, pending.end);
  }

  #onReply(pending: Pending, bytes: Uint8Array, at: number, end: number, nowMs: number): void {
    const runUs = frameA(bytes, at);
    pending.learn(runUs, nowMs);
    const { phase } = pending;
    this.#release(pending, nowMs, phase === "running");
    this.#deadlines.remove(pending);
    if (phase === "running") {
      setFrameB(bytes, at, Math.min(0xffff_ffff, Math.round(pending.waitedMs * 1000)));
      this.#settle(pending, "ok", runUs, nowMs);
      pending.deliver(this.#epoch, bytes, at, end);
    }
    pending.freeRequest();
    this.#pump(pending.set);
  }

  #onPart(pending: Pending, bytes: Uint8Array, at: number, end: number): void {
    if (pending.phase !== "running") return;
    pending.streaming = true;
    pending.deliver(this.#epoch, bytes, at, end);
  }

  #onError(pending: Pending, bytes: Uint8Array, at: number, end: number, nowMs: number): void {
    const { code, unrun, message } = outcomes.readError(bytes, at);
    const { phase } = pending;
    const replica = pending.replica!;
    this.#release(pending, nowMs, phase === "running" && code === "module_failed");
    if (phase === "abandoned") {
      this.#deadlines.remove(pending);
    } else if (code === "no_ready_replica" && unrun && !pending.streaming) {
      this.#hold(replica);
      this.#enqueueAgain(pending, nowMs);
    } else if (code === "agent_lost" && this.#mayRunAgain(pending, nowMs)) {
      pending.attempt++;
      this.#enqueueAgain(pending, nowMs);
    } else {
      this.#deadlines.remove(pending);
      this.#settle(pending, code, 0, nowMs, message);
      pending.deliver(this.#epoch, bytes, at, end);
    }
    this.#pump(pending.set);
  }

  #mayRunAgain(pending: Pending, nowMs: number): boolean {
    const byItsEndpoint = this.#fleet.targets.get(pending.endpoint)?.routed.idempotent;
    return pending.mayRunAgain(byItsEndpoint ?? pending.set.routed.idempotent, nowMs);
  }

  /** A replica that gave a request back gets none until it reports, or for a short while: no ping-pong meanwhile. */
  #hold(replica: Replica): void {
    replica.held = true;
    this.#cancelHold ??= this.#clock.after(limits.refusalHoldMs, () => {
      this.#cancelHold = null;
      this.#fleet.releaseHolds();
      this.#pumpAll();
    });
  }

  #expire(pending: Pending): void {
    const nowMs = this.#clock.monotonicMs();
    if (pending.phase === "queued") {
      pending.leave();
      this.#expireQueued(pending, nowMs);
    } else if (pending.phase === "running") {
      pending.replica!.capacity.lose();
      this.#giveUp(pending, outcomes.expiredRunning(pending, nowMs), true);
    } else {
      // The agent never confirmed its cancel. Its own watchdog ends the run; the slot must not be lost for good.
      this.#release(pending, nowMs);
      this.#pump(pending.set);
    }
  }

  /** It has already left the queue. */
  #expireQueued(pending: Pending, nowMs: number): void {
    const readiness = this.#fleet.readiness(pending.set, pending.endpoint, pending.admittedMs);
    this.#fail(pending, outcomes.expiredInQueue(pending, readiness, nowMs), true);
  }

  /** Ends it for the requester. What runs is cancelled, and keeps its slot until the agent confirms. */
  #giveUp(pending: Pending, error: SqwishError, tell: boolean): void {
    if (pending.phase === "queued") {
      pending.leave();
      this.#fail(pending, error, tell);
      return;
    }
    const link = pending.link!;
    this.#fail(pending, error, tell);
    pending.phase = "abandoned";
    pending.deadlineMs = this.#clock.monotonicMs() + limits.cancelGraceMs;
    this.#deadlines.add(pending);
    const a = error.code === "deadline_exceeded" ? CancelReason.deadline : CancelReason.caller;
    link.sink.sendFrames(encodeFrame({ op: Op.cancel, id: pending.runId, a }));
  }

  /** Gives the slot back. */
  #release(pending: Pending, nowMs: number, served = false): void {
    pending.link!.running.delete(pending.runId);
    pending.takeSlotBack();
    this.#fleet.release(pending.replica!, nowMs, served);
    pending.phase = "done";
  }

  #fail(pending: Pending, error: SqwishError, tell: boolean): void {
    this.#deadlines.remove(pending);
    this.#settle(pending, error.code, 0, this.#clock.monotonicMs(), error.message);
    const { requester, clientId, number } = pending;
    if (tell) requester.sink.sendFrames(outcomes.errorFrame(clientId, error, this.#epoch, number));
  }

  /** The one outcome: after it the requester's id is free. */
  #settle(pending: Pending, code: "ok" | ErrorCode, runUs: number, nowMs: number, message = ""): void {
    const outcome = outcomes.fillOutcome(this.#outcome, pending, code, runUs, nowMs, message);
    pending.phase = "done";
    pending.caller?.endCall();
    pending.caller = null;
    this.#inFlight.remove(pending);
    this.#options.onOutcome(outcome, pending);
  }

  /** `endpoint` only when it is known: what anyone may make up must not become a metric. */
  #refuse(requester: Requester, id: number, number: number, error: SqwishError, endpoint = ""): void {
    this.#options.onOutcome(outcomes.refusalOf(requester, endpoint, number, error));
    requester.sink.sendFrames(outcomes.errorFrame(id, error, this.#epoch, number));
  }
}

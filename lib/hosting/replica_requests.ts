/**
 * The requests of one replica: queued here until a runner that answers is free to take them, then sent on, watched,
 * and answered with exactly one outcome. A stalled runner gets nothing new and gives back what it has not started;
 * one that ignores a deadline is ended.
 */
import type { Clock } from "../clock.ts";
import { type ErrorCode, type ErrorDetails, errorTable } from "../errors.ts";
import { limits } from "../limits.ts";
import {
  CancelReason,
  Flag,
  frameA,
  frameB,
  frameId,
  frameLength,
  frameOp,
  Op,
  setFrameB,
  setFrameId,
} from "../protocol/frame.ts";
import type { HostedRequest } from "./hosted_request.ts";
import type { FrameSink } from "./host.ts";
import {
  chooseRunner,
  type RunnerFacts,
  runnerTimes,
  shouldGrow,
  shouldKill,
  shouldTakeBack,
} from "./replica_policy.ts";
import type { RunnerSlot } from "./runner_slot.ts";
import { WaitingRequests } from "./waiting_requests.ts";

/** One finished request, for telemetry. */
export interface Observation {
  endpoint: string;
  revision: number;
  runUs: number;
  failed: boolean;
}

/** Where `ctx.invoke` goes. Answers come to `answer` as frames with the id of the request. */
export interface Upstream {
  /** One whole request frame, `bytes[at, end)`, the receiver's to rewrite. */
  request(bytes: Uint8Array, at: number, end: number, answer: FrameSink): void;
  cancel(id: number, answer: FrameSink): void;
  /** The runner is gone: cancel all that it asked for. */
  forget(answer: FrameSink): void;
}

export interface ReplicaRequestsDeps {
  clock: Clock;
  upstream: Upstream;
  runnersMax: number;
  revision: number;
  observe(observation: Observation): void;
  onDone(request: HostedRequest): void;
  startRunner(): void;
  endRunner(slot: RunnerSlot, reason: string): void;
  /** The last request has left. */
  onQuiet(): void;
  checkMemory(): void;
}

export class ReplicaRequests {
  readonly #deps: ReplicaRequestsDeps;
  /** Owned by the replica, which adds and removes. */
  readonly #slots: RunnerSlot[];
  readonly #waiting = new WaitingRequests();
  #cancelTick: (() => void) | null = null;
  #memoryAtMs = 0;
  #outstanding = 0;

  constructor(deps: ReplicaRequestsDeps, slots: RunnerSlot[]) {
    this.#deps = deps;
    this.#slots = slots;
  }

  /** Requests without their outcome. */
  get outstanding(): number {
    return this.#outstanding;
  }

  facts(nowMs = this.#deps.clock.monotonicMs()): Readonly<RunnerFacts>[] {
    return this.#slots.map((slot) => slot.facts(nowMs));
  }

  add(request: HostedRequest, nowMs: number): void {
    const slot = this.#waiting.count === 0 ? this.#choose(nowMs) : undefined;
    if (!slot && !this.#waiting.mayTake(request)) {
      return this.refuse(request, "Too many requests wait for this replica");
    }
    this.#outstanding++;
    if (slot) slot.send(request, nowMs);
    else this.#waiting.add(request);
    this.#cancelTick ??= this.#deps.clock.every(runnerTimes.tickMs, () => this.#tick());
  }

  /** Answers, instead of `add`, that nothing is ready: the manager may try elsewhere. */
  refuse(request: HostedRequest, message: string): void {
    this.#outstanding++;
    this.#giveBack(request, message);
  }

  refuseWaiting(message: string): void {
    for (const request of this.#waiting.takeAll()) this.#giveBack(request, message);
  }

  /** It did not run in this attempt; of earlier ones the manager keeps count. */
  #giveBack(request: HostedRequest, message: string): void {
    this.#answer(request, "no_ready_replica", message, { mayHaveRun: "no" });
  }

  /** Sends what waits to runners, as far as there are any that take it. */
  dispatch(nowMs = this.#deps.clock.monotonicMs()): void {
    this.#waiting.drainTo((request) => {
      const slot = this.#choose(nowMs);
      slot?.send(request, nowMs);
      return slot !== undefined;
    });
  }

  /** One runner, the common case, without a comparison. */
  #choose(nowMs: number): RunnerSlot | undefined {
    const slots = this.#slots;
    if (slots.length === 1) return slots[0].takes(nowMs) ? slots[0] : undefined;
    return slots[chooseRunner(this.facts(nowMs))];
  }

  cancel(request: HostedRequest, reason: CancelReason): void {
    if (!this.#waiting.remove(request)) return request.slot?.tell(request, Op.cancel, reason);
    const { mayHaveRun } = request;
    this.#answer(request, "cancelled", "The caller gave up on the request", { mayHaveRun });
  }

  drop(request: HostedRequest): void {
    if (request.answered) return;
    this.#done(request);
    if (!this.#waiting.remove(request)) request.slot?.tell(request, Op.cancel, CancelReason.caller);
  }

  credit(request: HostedRequest, parts: number): void {
    request.slot?.tell(request, Op.credit, parts);
  }

  /** Aborts everything that runs because the replica has to go. */
  abortAll(): void {
    this.refuseWaiting("The replica is stopped");
    for (const slot of this.#slots) {
      for (const request of slot.requests()) slot.tell(request, Op.cancel, CancelReason.drain);
    }
  }

  /** No runner is left: whatever still waits is refused. */
  close(message: string): void {
    this.refuseWaiting(message);
    this.#cancelTick?.();
    this.#cancelTick = null;
  }

  /** Takes a batch of whole frames of a runner. */
  onFrames(slot: RunnerSlot, bytes: Uint8Array, at: number, end: number): void {
    const nowMs = this.#deps.clock.monotonicMs();
    slot.heard(nowMs);
    for (let frameEnd = at; at < end; at = frameEnd) {
      frameEnd = at + frameLength(bytes, at);
      switch (frameOp(bytes, at)) {
        case Op.reply:
        case Op.error:
        case Op.part:
          this.#fromRunner(slot, bytes, at, frameEnd, nowMs);
          break;
        case Op.request:
          // The manager knows the calling request by another id than the runner.
          setFrameB(bytes, at, slot.find(frameB(bytes, at))?.id ?? 0);
          this.#deps.upstream.request(bytes, at, frameEnd, slot.runner);
          break;
        case Op.cancel:
          this.#deps.upstream.cancel(frameId(bytes, at), slot.runner);
          break;
      }
    }
    if (this.#waiting.count > 0) this.dispatch(nowMs);
  }

  /** The way to the manager is free again. */
  resume(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const slot of this.#slots) slot.resume(nowMs);
  }

  /** Queues again what the runner has not started. */
  async takeBack(slot: RunnerSlot): Promise<void> {
    const requests = await slot.takeBack();
    this.#waiting.addFirst(requests.filter((request) => !request.answered));
    this.dispatch();
  }

  /**
   * Gives each request of an ended runner its outcome. All may have run, so none runs again here: `agent_lost` leaves
   * that to the manager, which counts the runs of each. One that was alone ended the runner, and that is final unless
   * it was called as idempotent: an endpoint that is says so of a lost agent, not of what ends its runners.
   */
  onRunnerLost(slot: RunnerSlot, reason: string): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const lost = slot.abandon().filter((request) => !request.answered);
    const others = lost.length > 1 ? ` and ${lost.length - 1} more` : "";
    for (const request of lost) {
      const mayRunAgain = (request.flags & Flag.idempotent) !== 0 && !request.streamed;
      const code = lost.length === 1 && !mayRunAgain ? "module_failed" : "agent_lost";
      if (request.deadlineMs <= nowMs) this.#answerLate(request, true);
      else this.#answer(request, code, `The runner ${reason} while it ran this request${others}`);
      this.#observe(request, Math.round((nowMs - request.acceptedAtMs) * 1000), true);
    }
    this.dispatch();
  }

  /** Passes an answer on: its head is rewritten in place, its body never looked at. */
  #fromRunner(slot: RunnerSlot, bytes: Uint8Array, at: number, end: number, nowMs: number): void {
    const sequence = frameId(bytes, at);
    const request = slot.find(sequence);
    if (!request) return;
    const op = frameOp(bytes, at);
    if (op !== Op.part) slot.finish(sequence, nowMs);
    if (request.answered) return;
    const { sink } = request;
    setFrameId(bytes, at, request.id);
    request.sign(bytes, at);
    if (op === Op.part) request.streamed = true;
    else this.#done(request);
    sink.sendFrames(bytes, at, end);
    if (op !== Op.part) this.#observe(request, frameA(bytes, at), op === Op.error);
    sink.freeWhenWritten?.(bytes, at, end);
    // A runner that replies has read all of the request.
    if (op === Op.reply) request.free();
    if (sink.bufferedBytes > limits.sendBufferBytesHigh) slot.pause();
  }

  #tick(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#waiting.count === 0 && this.#slots.every((slot) => slot.busy === 0)) {
      this.#cancelTick?.();
      this.#cancelTick = null;
      return;
    }
    for (const request of this.#waiting.takeLate(nowMs)) this.#answerLate(request, false);
    for (const slot of [...this.#slots]) if (slot.state === "ready") this.#watch(slot, nowMs);
    const facts = this.facts(nowMs);
    for (let i = 0; i < facts.length; i++) {
      if (this.#slots[i].mayHaveUnclaimed && shouldTakeBack(facts, i, this.#deps.runnersMax)) {
        void this.takeBack(this.#slots[i]);
      }
    }
    this.dispatch(nowMs);
    if (shouldGrow(this.facts(nowMs), this.#waiting.count, this.#deps.runnersMax)) this.#deps.startRunner();
    if (nowMs - this.#memoryAtMs >= runnerTimes.memoryMs) {
      this.#memoryAtMs = nowMs;
      this.#deps.checkMemory();
    }
  }

  /** Looks after the deadlines of what one runner has, and at whether it still answers. */
  #watch(slot: RunnerSlot, nowMs: number): void {
    slot.probe(nowMs, runnerTimes.probeAfterMs);
    const stalledMs = slot.stalledMs(nowMs);
    const answers = stalledMs < runnerTimes.stalledMs;
    const last = slot.lastClaimed;
    for (const request of [...slot.requests()]) {
      const lateMs = nowMs - request.deadlineMs;
      if (lateMs < 0) continue;
      if (!answers && slot.mayHaveUnclaimed && lateMs < runnerTimes.innocentGraceMs) {
        // Only the runner's main thread knows whether this one has started. One that is stopped as a whole never says.
        void this.takeBack(slot);
        return;
      }
      if (!request.answered) {
        this.#answerLate(request, true);
        this.#observe(request, Math.round((nowMs - request.acceptedAtMs) * 1000), true);
        slot.tell(request, Op.cancel, CancelReason.deadline);
      }
      const startedLast = request === last || slot.busy === 1;
      const lastLateMs = last ? nowMs - last.deadlineMs : -Infinity;
      if (shouldKill({ lateMs, startedLast, lastLateMs }, stalledMs)) {
        this.#deps.endRunner(slot, `did not return from ${request.endpoint} by its deadline`);
        return;
      }
      // The runner answers but this request never ends: nothing to be gained by keeping books on it.
      if (answers && lateMs >= runnerTimes.innocentGraceMs) slot.finish(request.sequence, nowMs);
    }
  }

  #answerLate(request: HostedRequest, started: boolean): void {
    const message = started
      ? "The deadline passed while the module ran"
      : "The deadline passed before a runner was free";
    const mayHaveRun = started ? "maybe" : request.mayHaveRun;
    this.#answer(request, "deadline_exceeded", message, { started: mayHaveRun === "maybe", mayHaveRun });
  }

  #answer(request: HostedRequest, code: ErrorCode, message: string, details: ErrorDetails = {}): void {
    if (request.answered) return;
    this.#done(request);
    const mayHaveRun = details.mayHaveRun ?? errorTable[code].mayHaveRun;
    request.fail(code, message, { ...details, mayHaveRun });
  }

  #done(request: HostedRequest): void {
    request.answered = true;
    request.slot?.answered();
    this.#outstanding--;
    this.#deps.onDone(request);
    if (this.#outstanding === 0) this.#deps.onQuiet();
  }

  #observe(request: HostedRequest, runUs: number, failed: boolean): void {
    this.#deps.observe({ endpoint: request.endpoint, revision: this.#deps.revision, runUs, failed });
  }
}

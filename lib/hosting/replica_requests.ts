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
  encodeFrame,
  Flag,
  frameA,
  frameId,
  frameOp,
  Op,
  setFrameId,
} from "../protocol/frame.ts";
import { countLoss, type HostedRequest } from "./hosted_request.ts";
import type { FrameSink } from "./host.ts";
import { errorFrame } from "./invocation.ts";
import {
  chooseRunner,
  type RunnerFacts,
  runnerTimes,
  shouldGrow,
  shouldKill,
  shouldTakeBack,
} from "./replica_policy.ts";
import type { RunnerSlot } from "./runner_slot.ts";

/** One finished request, for telemetry. */
export interface Observation {
  endpoint: string;
  revision: number;
  runUs: number;
  failed: boolean;
}

/** Where `ctx.invoke` goes. Answers come to `answer` as frames with the id of the request. */
export interface Upstream {
  /** One whole request frame, the receiver's to rewrite. */
  request(frame: Uint8Array, answer: FrameSink): void;
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

/** Runners one request may be lost with before it is failed although it could run again. */
const lossesMax = 1;

export class ReplicaRequests {
  readonly #deps: ReplicaRequestsDeps;
  /** Owned by the replica, which adds and removes. */
  readonly #slots: RunnerSlot[];
  #waiting: HostedRequest[] = [];
  #cancelTick: (() => void) | null = null;
  #memoryAtMs = 0;
  #closed = false;
  #outstanding = 0;

  constructor(deps: ReplicaRequestsDeps, slots: RunnerSlot[]) {
    this.#deps = deps;
    this.#slots = slots;
  }

  /** Requests without their outcome. */
  get outstanding(): number {
    return this.#outstanding;
  }

  facts(): RunnerFacts[] {
    const nowMs = this.#deps.clock.monotonicMs();
    return this.#slots.map((slot) => ({
      // One that is about to be killed is as good as stopped.
      state: slot.endReason === null ? slot.state : "stopping",
      outstanding: slot.outstanding,
      stalledMs: slot.stalledMs(nowMs),
      idleMs: slot.busy > 0 ? 0 : nowMs - slot.idleSinceMs,
    }));
  }

  add(request: HostedRequest): void {
    if (this.#waiting.length >= limits.requestsPerConnectionMax) {
      return this.refuse(request, "Too many requests wait for this replica");
    }
    this.#outstanding++;
    this.#waiting.push(request);
    this.dispatch();
    this.#cancelTick ??= this.#deps.clock.every(runnerTimes.tickMs, () => this.#tick());
  }

  /** Answers, instead of `add`, that nothing is ready: the manager may try elsewhere. */
  refuse(request: HostedRequest, message: string): void {
    this.#outstanding++;
    this.#answer(request, "no_ready_replica", message, { mayHaveRun: "no" });
  }

  refuseWaiting(message: string): void {
    for (const request of this.#waiting.splice(0)) {
      this.#answer(request, "no_ready_replica", message, { mayHaveRun: "no" });
    }
  }

  /** Sends what waits to runners, as far as there are any that answer. */
  dispatch(): void {
    while (this.#waiting.length > 0) {
      const chosen = this.#slots.length === 1 ? this.#only() : chooseRunner(this.facts());
      if (chosen < 0) return;
      this.#slots[chosen].send(this.#waiting.shift()!, this.#deps.clock.monotonicMs());
    }
  }

  /** The common case without making facts: one runner. */
  #only(): number {
    const [slot] = this.#slots;
    const stalled = slot.stalledMs(this.#deps.clock.monotonicMs()) >= runnerTimes.stalledMs;
    return slot.state === "ready" && slot.endReason === null && !stalled ? 0 : -1;
  }

  cancel(request: HostedRequest, reason: CancelReason): void {
    const at = this.#waiting.indexOf(request);
    if (at < 0) return this.#toRunner(request, Op.cancel, reason);
    this.#waiting.splice(at, 1);
    this.#answer(request, "cancelled", "The caller gave up on the request", { mayHaveRun: "no" });
  }

  drop(request: HostedRequest): void {
    if (request.answered) return;
    this.#done(request);
    const at = this.#waiting.indexOf(request);
    if (at >= 0) this.#waiting.splice(at, 1);
    else this.#toRunner(request, Op.cancel, CancelReason.caller);
  }

  credit(request: HostedRequest, parts: number): void {
    this.#toRunner(request, Op.credit, parts);
  }

  /** Aborts everything that runs because the replica has to go. */
  abortAll(): void {
    this.refuseWaiting("The replica is stopped");
    for (const slot of this.#slots) {
      for (const [, request] of slot.entries()) this.#toRunner(request, Op.cancel, CancelReason.drain);
    }
  }

  /** No runner is left: whatever still waits is refused. */
  close(message: string): void {
    this.#closed = true;
    this.refuseWaiting(message);
    this.#cancelTick?.();
    this.#cancelTick = null;
  }

  onFrame(slot: RunnerSlot, bytes: Uint8Array, at: number, end: number): void {
    const nowMs = this.#deps.clock.monotonicMs();
    slot.heard(nowMs);
    const id = frameId(bytes, at);
    switch (frameOp(bytes, at)) {
      case Op.reply:
      case Op.error:
      case Op.part:
        this.#fromRunner(slot, id, bytes.subarray(at, end), nowMs);
        break;
      case Op.request:
        this.#deps.upstream.request(bytes.subarray(at, end), slot.runner);
        break;
      case Op.cancel:
        this.#deps.upstream.cancel(id, slot.runner);
        break;
    }
  }

  /** Queues again what the runner has not started. */
  async takeBack(slot: RunnerSlot): Promise<void> {
    const requests = await slot.takeBack();
    this.#waiting.unshift(...requests.filter((request) => !request.answered));
    this.dispatch();
  }

  /** Gives each request of an ended runner its outcome, or a second run if it may have one. */
  onRunnerLost(slot: RunnerSlot, reason: string): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const lost = slot.abandon().filter((request) => !request.answered);
    for (const request of lost) {
      if (request.deadlineMs <= nowMs) this.#answerLate(request, true);
      else if (this.#mayRunAgain(request)) this.#waiting.push(request);
      else if (lost.length === 1) {
        this.#answer(request, "module_failed", `The runner ${reason} while it ran this request`);
      } else {
        const message = `The runner ${reason} while it ran this request and ${lost.length - 1} more`;
        this.#answer(request, "agent_lost", message);
      }
      if (request.answered) this.#observe(request, Math.round((nowMs - request.acceptedAtMs) * 1000), true);
    }
    this.dispatch();
  }

  #mayRunAgain(request: HostedRequest): boolean {
    const allowed = (request.flags & Flag.idempotent) !== 0 && request.losses < lossesMax &&
      !request.streamed;
    if (allowed) countLoss(request);
    return allowed && !this.#closed;
  }

  #fromRunner(slot: RunnerSlot, sequence: number, frame: Uint8Array, nowMs: number): void {
    const request = slot.find(sequence);
    if (!request) return;
    const op = frameOp(frame, 0);
    if (op !== Op.part) slot.finish(sequence, nowMs);
    if (!request.answered) {
      setFrameId(frame, 0, request.id);
      frame.set(request.frame.subarray(24, 32), 24);
      if (op === Op.part) request.streamed = true;
      else this.#done(request);
      request.sink.sendFrames(frame);
      if (op !== Op.part) this.#observe(request, frameA(frame, 0), op === Op.error);
    }
    if (this.#waiting.length > 0) this.dispatch();
  }

  #tick(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#waiting.length === 0 && this.#slots.every((slot) => slot.busy === 0)) {
      this.#cancelTick?.();
      this.#cancelTick = null;
      return;
    }
    for (const request of this.#waiting.filter((one) => one.deadlineMs <= nowMs)) {
      this.#waiting.splice(this.#waiting.indexOf(request), 1);
      this.#answerLate(request, false);
    }
    for (const slot of [...this.#slots]) if (slot.state === "ready") this.#watch(slot, nowMs);
    const facts = this.facts();
    for (let i = 0; i < facts.length; i++) {
      if (this.#slots[i].mayHaveUnclaimed && shouldTakeBack(facts, i, this.#deps.runnersMax)) {
        void this.takeBack(this.#slots[i]);
      }
    }
    this.dispatch();
    if (shouldGrow(this.facts(), this.#waiting.length, this.#deps.runnersMax)) this.#deps.startRunner();
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
    for (const [sequence, request] of [...slot.entries()]) {
      const lateMs = nowMs - request.deadlineMs;
      if (lateMs < 0) continue;
      if (!answers && slot.mayHaveUnclaimed) {
        // Only the runner's main thread knows whether this one has started.
        void this.takeBack(slot);
        return;
      }
      if (!request.answered) {
        this.#answerLate(request, true);
        this.#observe(request, Math.round((nowMs - request.acceptedAtMs) * 1000), true);
        slot.runner.sendFrames(encodeFrame({ op: Op.cancel, id: sequence, a: CancelReason.deadline }));
      }
      const startedLast = request === last || slot.busy === 1;
      const lastLateMs = last ? nowMs - last.deadlineMs : -Infinity;
      if (shouldKill({ lateMs, startedLast, lastLateMs }, stalledMs)) {
        this.#deps.endRunner(slot, `did not return from ${request.endpoint} by its deadline`);
        return;
      }
      // The runner answers but this request never ends: nothing to be gained by keeping books on it.
      if (answers && lateMs >= runnerTimes.innocentGraceMs) slot.finish(sequence, nowMs);
    }
  }

  #answerLate(request: HostedRequest, started: boolean): void {
    const message = started
      ? "The deadline passed while the module ran"
      : "The deadline passed before a runner was free";
    this.#answer(request, "deadline_exceeded", message, { started, mayHaveRun: started ? "maybe" : "no" });
  }

  #answer(request: HostedRequest, code: ErrorCode, message: string, details: ErrorDetails = {}): void {
    if (request.answered) return;
    this.#done(request);
    const mayHaveRun = details.mayHaveRun ?? errorTable[code].mayHaveRun;
    const frame = errorFrame(request.id, { code, message, details: { ...details, mayHaveRun } });
    frame.set(request.frame.subarray(24, 32), 24);
    request.sink.sendFrames(frame);
  }

  #done(request: HostedRequest): void {
    request.answered = true;
    this.#outstanding--;
    this.#deps.onDone(request);
    if (this.#outstanding === 0) this.#deps.onQuiet();
  }

  #observe(request: HostedRequest, runUs: number, failed: boolean): void {
    this.#deps.observe({ endpoint: request.endpoint, revision: this.#deps.revision, runUs, failed });
  }

  #toRunner(request: HostedRequest, op: typeof Op.cancel | typeof Op.credit, a: number): void {
    for (const slot of this.#slots) {
      const sequence = slot.sequenceOf(request);
      if (sequence !== undefined) return slot.runner.sendFrames(encodeFrame({ op, id: sequence, a }));
    }
  }
}

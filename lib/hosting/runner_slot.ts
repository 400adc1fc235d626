/**
 * The agent's books on one runner: which requests it has and in which order, whether its event loop still answers,
 * what it used. Decides nothing; `replica.ts` does, by `replica_policy.ts`.
 */
import { limits } from "../limits.ts";
import { encodeFrame, Op, setFrameA, setFrameId } from "../protocol/frame.ts";
import { isLater } from "./claims.ts";
import type { HostedRequest } from "./hosted_request.ts";
import type { Runner } from "./host.ts";
import type { ProcessSample } from "./process_sample.ts";
import { type RunnerFacts, runnerTimes } from "./replica_policy.ts";

export class RunnerSlot {
  runner!: Runner;
  state: "loading" | "ready" | "stopping" | "ended" = "loading";
  /** What it was told to end for; null while it is not. */
  endReason: string | null = null;
  readonly startedAtMs: number;
  idleSinceMs: number;
  /** Its own memory before the first module was imported. */
  baselineBytes = 0;
  lastSample: ProcessSample | undefined;
  #requests = new Map<number, HostedRequest>();
  #outstanding = 0;
  #sequence = 0;
  /** The last one known to have started. */
  #claimed = 0;
  /** All up to this one are known to have started or to have been taken back. */
  #settled = 0;
  #heardAtMs: number;
  #probedAtMs: number | null = null;
  #revoking = false;
  #paused = false;
  readonly #facts: RunnerFacts = { full: false, state: "loading", outstanding: 0, stalledMs: 0, idleMs: 0 };

  constructor(nowMs: number) {
    this.startedAtMs = nowMs;
    this.idleSinceMs = nowMs;
    this.#heardAtMs = nowMs;
  }

  /** Requests it works on, those that have their outcome already included. */
  get busy(): number {
    return this.#requests.size;
  }

  /** Requests that still wait for their outcome. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** What the policy decides by. The same object each time, brought up to date. */
  facts(nowMs: number): Readonly<RunnerFacts> {
    const facts = this.#facts;
    // One that is about to be killed is as good as stopped.
    facts.state = this.endReason === null ? this.state : "stopping";
    facts.full = this.isFull;
    facts.outstanding = this.#outstanding;
    facts.stalledMs = this.stalledMs(nowMs);
    facts.idleMs = this.busy > 0 ? 0 : nowMs - this.idleSinceMs;
    return facts;
  }

  /** True when a request sent to it would be read soon. */
  takes(nowMs: number): boolean {
    return this.state === "ready" && this.endReason === null && !this.isFull &&
      this.stalledMs(nowMs) < runnerTimes.stalledMs;
  }

  /** It reads too slowly for what it has been sent: more would only pile up here. */
  get isFull(): boolean {
    return this.runner.bufferedBytes > limits.sendBufferBytesHigh;
  }

  /** In the order they were sent. */
  requests(): IterableIterator<HostedRequest> {
    return this.#requests.values();
  }

  /** The request that started last, if the runner is still busy with it: the one an endless loop most likely is in. */
  get lastClaimed(): HostedRequest | undefined {
    return this.#requests.get(this.#claimed);
  }

  send(request: HostedRequest, nowMs: number): void {
    const sequence = this.#sequence = (this.#sequence + 1) >>> 0;
    const { bytes, at } = request;
    request.slot = this;
    request.sequence = sequence;
    setFrameId(bytes, at, sequence);
    setFrameA(bytes, at, Math.max(0, Math.round(request.deadlineMs - nowMs)));
    this.#requests.set(sequence, request);
    this.#outstanding++;
    this.runner.sendFrames(bytes, at, request.end);
  }

  /** Tells the runner something about a request it has. */
  tell(request: HostedRequest, op: typeof Op.cancel | typeof Op.credit, a: number): void {
    this.runner.sendFrames(encodeFrame({ op, id: request.sequence, a }));
  }

  /** One of its requests has its outcome. */
  answered(): void {
    this.#outstanding--;
  }

  /** Stops taking its frames while their way to the manager is jammed; what it then owes is not its fault. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#probedAtMs = null;
    this.runner.pauseReading();
  }

  resume(nowMs: number): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#heardAtMs = nowMs;
    this.runner.resumeReading();
  }

  /** The runner was heard: its event loop turns. */
  heard(nowMs: number): void {
    this.#heardAtMs = nowMs;
    this.#probedAtMs = null;
  }

  find(sequence: number): HostedRequest | undefined {
    return this.#requests.get(sequence);
  }

  /** The runner is done with it. */
  finish(sequence: number, nowMs: number): void {
    this.#requests.delete(sequence);
    // Requests are claimed in order, so an answered one has all before it claimed.
    if (isLater(sequence, this.#claimed)) this.#claimed = sequence;
    if (isLater(sequence, this.#settled)) this.#settled = sequence;
    if (this.#requests.size === 0) this.idleSinceMs = nowMs;
  }

  /** Asks for a sign of life when there has been none for `quietMs` although there is work. */
  probe(nowMs: number, quietMs: number): void {
    if (this.#requests.size === 0 || this.#probedAtMs !== null || this.#paused) return;
    if (nowMs - this.#heardAtMs < quietMs) return;
    this.#probedAtMs = nowMs;
    this.runner.sendFrames(encodeFrame({ op: Op.call, id: 0 }));
  }

  /** How long it has owed a sign of life, in ms; 0 while it owes none. */
  stalledMs(nowMs: number): number {
    return this.#probedAtMs === null ? 0 : nowMs - this.#probedAtMs;
  }

  /** True when some of its requests may not have started. */
  get mayHaveUnclaimed(): boolean {
    return isLater(this.#sequence, this.#settled);
  }

  /** Takes back what has not started, in order. Nothing when one such call is under way or the runner ends first. */
  async takeBack(): Promise<HostedRequest[]> {
    if (this.#revoking || !this.mayHaveUnclaimed) return [];
    this.#revoking = true;
    const through = this.#sequence;
    try {
      const claimed = await this.runner.revoke(through);
      if (isLater(claimed, this.#claimed)) this.#claimed = claimed;
      if (isLater(through, this.#settled)) this.#settled = through;
      const unclaimed: HostedRequest[] = [];
      for (const [sequence, request] of this.#requests) {
        if (!isLater(sequence, claimed) || isLater(sequence, through)) continue;
        this.#requests.delete(sequence);
        if (!request.answered) this.#outstanding--;
        request.detach();
        unclaimed.push(request);
      }
      return unclaimed;
    } catch {
      // The runner has ended: everything it had is dealt with as lost.
      return [];
    } finally {
      this.#revoking = false;
    }
  }

  /** Everything it had, when it has ended. */
  abandon(): HostedRequest[] {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    this.#outstanding = 0;
    for (const request of requests) request.detach();
    return requests;
  }
}

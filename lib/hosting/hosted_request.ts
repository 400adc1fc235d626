/**
 * A request on its way through this agent, and the table of all of them. The manager knows it by (connection, id),
 * the runner by a number in its own sequence. It leaves the table with its one outcome.
 */
import type { ErrorCode, ErrorDetails } from "../errors.ts";
import type { CancelReason } from "../protocol/frame.ts";
import { frameA, frameB, frameFlags, frameId } from "../protocol/frame.ts";
import type { FrameSink } from "./host.ts";
import { errorFrame } from "./error_frame.ts";
import type { RunnerSlot } from "./runner_slot.ts";

/** Who a request is with: its replica. */
export interface RequestOwner {
  cancel(request: HostedRequest, reason: CancelReason): void;
  credit(request: HostedRequest, parts: number): void;
  /** The requester is gone: no answer will be wanted. */
  drop(request: HostedRequest): void;
}

export class HostedRequest {
  /** The whole frame is `bytes[at, end)`; its id, a and b are rewritten for each runner it is sent to. */
  bytes: Uint8Array;
  at: number;
  end: number;
  readonly flags: number;
  readonly endpoint: string;
  /** The requester's id and where its answer goes. */
  readonly id: number;
  readonly sink: FrameSink;
  readonly acceptedAtMs: number;
  /** On the agent's monotonic clock. */
  readonly deadlineMs: number;
  owner: RequestOwner | null = null;
  /** The runner that has it, and its number there. */
  slot: RunnerSlot | null = null;
  sequence = 0;
  /** Its outcome has been sent; the runner may still be busy with it. */
  answered = false;
  /** A part of its stream has been passed on: nobody can run it again unnoticed. */
  streamed = false;

  /** Reads what an agent needs to know of a request frame. `bytes` must not be changed by anyone else afterwards. */
  constructor(
    bytes: Uint8Array,
    at: number,
    end: number,
    endpoint: string,
    sink: FrameSink,
    nowMs: number,
  ) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.flags = frameFlags(bytes, at);
    this.endpoint = endpoint;
    this.id = frameId(bytes, at);
    this.sink = sink;
    this.acceptedAtMs = nowMs;
    this.deadlineMs = nowMs + frameA(bytes, at);
  }

  get frameBytes(): number {
    return this.end - this.at;
  }

  /** Must be called before it goes to another runner: the first one's socket may still hold the old bytes. */
  detach(): void {
    this.bytes = this.bytes.slice(this.at, this.end);
    this.end -= this.at;
    this.at = 0;
    this.slot = null;
  }

  /** Its reply has come from the runner that has it: nobody needs the frame any more. */
  free(): void {
    this.slot!.runner.freeWhenWritten?.(this.bytes, this.at, this.end);
  }

  /** While it waits: "maybe" when the manager has had it run before, here or elsewhere. */
  get mayHaveRun(): "no" | "maybe" {
    return (frameB(this.bytes, this.at) & 0xff) > 1 ? "maybe" : "no";
  }

  /** Writes the request's id, by which every program on the way names it, into the frame of an answer. */
  sign(answer: Uint8Array, answerAt: number): void {
    const { bytes, at } = this;
    for (let i = 24; i < 32; i++) answer[answerAt + i] = bytes[at + i];
  }

  /** Sends the one outcome: an error. */
  fail(code: ErrorCode, message: string, details: ErrorDetails): void {
    const frame = errorFrame(this.id, { code, message, details });
    this.sign(frame, 0);
    this.answered = true;
    this.sink.sendFrames(frame, 0, frame.length);
  }
}

/** All requests of an agent, by where their answers go and the requester's id. */
export class RequestTable {
  readonly #bySink = new WeakMap<FrameSink, Map<number, HostedRequest>>();
  /** What was looked up last: all requests of a batch, and nearly always all there are, have the same sink. */
  #sink: FrameSink | null = null;
  #requests = new Map<number, HostedRequest>();

  /** False when this sink has a request of that id in flight already. */
  add(request: HostedRequest): boolean {
    const requests = this.#of(request.sink);
    if (requests.has(request.id)) return false;
    requests.set(request.id, request);
    return true;
  }

  find(sink: FrameSink, id: number): HostedRequest | undefined {
    return this.#of(sink).get(id);
  }

  /** Every request whose answer goes to `sink`. */
  of(sink: FrameSink): HostedRequest[] {
    return [...this.#of(sink).values()];
  }

  remove(request: HostedRequest): void {
    const requests = this.#of(request.sink);
    if (requests.get(request.id) === request) requests.delete(request.id);
  }

  #of(sink: FrameSink): Map<number, HostedRequest> {
    if (sink === this.#sink) return this.#requests;
    let requests = this.#bySink.get(sink);
    if (!requests) this.#bySink.set(sink, requests = new Map());
    this.#sink = sink;
    return this.#requests = requests;
  }
}

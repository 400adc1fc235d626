/**
 * A request on its way through this agent, and the table of all of them. The manager knows it by (connection, id),
 * the runner by a number in its own sequence. It leaves the table with its one outcome.
 */
import {
  frameA,
  frameB,
  frameFlags,
  frameId,
  frameName,
  frameRequestId,
  setFrameB,
} from "../protocol/frame.ts";
import type { FrameSink } from "./host.ts";

export interface HostedRequest {
  /** The whole frame; its id, a and b are rewritten for each runner it is sent to. */
  frame: Uint8Array;
  flags: number;
  endpoint: string;
  requestId: string;
  /** The requester's id and where its answer goes. */
  id: number;
  sink: FrameSink;
  acceptedAtMs: number;
  /** On the agent's monotonic clock. */
  deadlineMs: number;
  /** How often a runner was lost under it. */
  losses: number;
  /** Its outcome has been sent; the runner may still be busy with it. */
  answered: boolean;
  /** A part of its stream has been passed on: it can't be run again unnoticed. */
  streamed: boolean;
}

/** Reads what an agent needs to know of a request frame. `bytes` must not be changed by anyone else afterwards. */
export function readRequest(
  bytes: Uint8Array,
  at: number,
  end: number,
  sink: FrameSink,
  nowMs: number,
): HostedRequest {
  return {
    frame: bytes.subarray(at, end),
    flags: frameFlags(bytes, at),
    endpoint: frameName(bytes, at),
    requestId: frameRequestId(bytes, at),
    id: frameId(bytes, at),
    sink,
    acceptedAtMs: nowMs,
    deadlineMs: nowMs + frameA(bytes, at),
    losses: 0,
    answered: false,
    streamed: false,
  };
}

/** Counts a lost runner; the module sees the next attempt number. */
export function countLoss(request: HostedRequest): void {
  request.losses++;
  const handleAndAttempt = frameB(request.frame, 0);
  if ((handleAndAttempt & 0xff) < 0xff) setFrameB(request.frame, 0, handleAndAttempt + 1);
}

/** All requests of an agent, by where their answers go and the requester's id. */
export class RequestTable {
  #bySink = new Map<FrameSink, Map<number, HostedRequest>>();

  /** False when this sink has a request of that id in flight already. */
  add(request: HostedRequest): boolean {
    let requests = this.#bySink.get(request.sink);
    if (!requests) this.#bySink.set(request.sink, requests = new Map());
    if (requests.has(request.id)) return false;
    requests.set(request.id, request);
    return true;
  }

  find(sink: FrameSink, id: number): HostedRequest | undefined {
    return this.#bySink.get(sink)?.get(id);
  }

  /** Every request whose answer goes to `sink`. */
  of(sink: FrameSink): HostedRequest[] {
    return [...this.#bySink.get(sink)?.values() ?? []];
  }

  remove(request: HostedRequest): void {
    const requests = this.#bySink.get(request.sink);
    if (requests?.get(request.id) !== request) return;
    requests.delete(request.id);
    if (requests.size === 0) this.#bySink.delete(request.sink);
  }
}

/**
 * May this request come in? Pure checks, in the order in which their reasons matter to the caller: a whole frame,
 * allowed, known, in time, within its connection's share, room in the queue.
 * On the way: a requester's frame → here → queue or replica. The invariant: a refusal has changed nothing.
 */
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { headerBytes } from "../protocol/frame.ts";
import { estimateWaitMs, isHopeless } from "./capacity.ts";
import type { Target } from "./fleet.ts";
import { retryAfterMs } from "./outcomes.ts";
import type { Requester, SetState } from "./state.ts";
import { counted } from "../words.ts";

/** Bounds that a frame's outer shape doesn't show; null: nothing wrong. `bytes[at, end)` is a whole frame. */
export function refuseFrame(bytes: Uint8Array, at: number, end: number): SqwishError | null {
  // Read here byte by byte: a view per request would cost more than the checks.
  const nameBytes = (bytes[at + 6] << 8) | bytes[at + 7];
  const metaBytes = bytes[at + 12] * 0x100_0000 +
    ((bytes[at + 13] << 16) | (bytes[at + 14] << 8) | bytes[at + 15]);
  const bodyBytes = end - at - headerBytes - nameBytes - metaBytes;
  if (nameBytes === 0) return new SqwishError("invalid_request", "A request must name its endpoint");
  if (nameBytes > limits.frameNameBytesMax) return tooLarge("A name", limits.frameNameBytesMax, nameBytes);
  if (metaBytes > limits.frameMetaBytesMax) return tooLarge("Headers", limits.frameMetaBytesMax, metaBytes);
  if (bodyBytes > limits.bodyBytesMax) return tooLarge("A body", limits.bodyBytesMax, bodyBytes);
  return null;
}

/** `forbidden`, before anything is told about which endpoints exist; or the id is taken. */
export function refuseRequester(
  requester: Requester,
  endpoint: string,
  id: number,
  idInFlight: boolean,
): SqwishError | null {
  if (idInFlight) {
    return new SqwishError(
      "invalid_request",
      `A request's id must not be in flight on its connection, ${id} is`,
    );
  }
  if (requester.mayInvoke(endpoint)) return null;
  return new SqwishError("forbidden", `${requester.describe} may not invoke ${endpoint}`);
}

/** When it must be answered: what it asks for (0: the endpoint's own time-out) from now on, up to the cap. */
export function deadlineAt(requestedMs: number, defaultMs: number, nowMs: number): number {
  return nowMs + Math.min(requestedMs === 0 ? defaultMs : requestedMs, limits.timeoutMsMax);
}

/** One connection can't take all of the manager's memory. */
export function refuseShare(inFlight: number): SqwishError | null {
  if (inFlight < limits.requestsPerConnectionMax) return null;
  return new SqwishError(
    "queue_full",
    `A connection may have ${limits.requestsPerConnectionMax} requests in flight, this one has ${inFlight}`,
    { details: { retryAfterMs: limits.retryAfterMsMin } },
  );
}

/** Asked only when no replica is free for it. */
export function refuseQueue(set: SetState): SqwishError | null {
  const { name, queueMax } = set.routed;
  const { size: queued, bytes } = set.queue;
  const full = queued >= queueMax
    ? `${counted(queueMax, "request")}, it has ${queued}`
    : bytes >= limits.queueBytesMax
    ? `${limits.queueBytesMax} bytes, it has ${bytes}`
    : null;
  if (full === null) return null;
  return new SqwishError("queue_full", `The queue of ${name} takes ${full}`, {
    details: { retryAfterMs: retryAfterMs(queued, set.replicas), queued, queueMax },
  });
}

/**
 * Asked only when no replica is free for it: so much of its own client waits before it, in order, that it can't be in
 * time even if nobody else had anything. `target`: its replicas, when any has shown it.
 */
export function refuseLate(
  requester: Requester,
  { queue }: SetState,
  target: Target | undefined,
  remainingMs: number,
): SqwishError | null {
  const ahead = queue.waitingOf(requester.id);
  if (ahead === 0 || !target) return null;
  let servedPerMs = 0;
  for (const { available, capacity } of target.replicas) {
    if (!available) continue;
    // One that has not been asked for much yet may turn out to do far more.
    if (!capacity.isSettled) return null;
    servedPerMs += capacity.servedPerMs;
  }
  const waitMs = estimateWaitMs(ahead, servedPerMs);
  if (!isHopeless(waitMs, remainingMs)) return null;
  return new SqwishError(
    "deadline_exceeded",
    `${target.routed.endpoint} has ${Math.round(remainingMs)} ms, and what waits before it takes about ` +
      `${Math.round(waitMs)} ms; send less at once or allow more time`,
    { details: { mayHaveRun: "no", started: false, estimatedWaitMs: Math.round(waitMs), ahead } },
  );
}

function tooLarge(what: string, bytesMax: number, bytes: number): SqwishError {
  const verb = what.endsWith("s") ? "take" : "takes";
  return new SqwishError("too_large", `${what} ${verb} at most ${bytesMax} bytes, this request has ${bytes}`);
}

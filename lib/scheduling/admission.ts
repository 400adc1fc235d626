/**
 * May this request come in? Pure checks, in the order in which their reasons matter to the caller: a whole frame,
 * allowed, known, in time, within its connection's share, room in the queue.
 * On the way: a requester's frame → here → queue or replica. The invariant: a refusal has changed nothing.
 */
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { headerBytes } from "../protocol/frame.ts";
import type { Target } from "./fleet.ts";
import { boundedRetryMs, retryAfterMs } from "./outcomes.ts";
import { longWaitMs, repliesRemembered, usualWaitMs } from "./service_rate.ts";
import type { Pending, Requester, SetState } from "./state.ts";
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

/** Functions that call themselves for ever would otherwise fill every queue until a deadline ends them. */
export function refuseDepth(endpoint: string, caller: Pending | null): SqwishError | null {
  let depth = 0;
  for (let above = caller; above !== null; above = above.caller) depth++;
  if (depth < limits.callDepthMax) return null;
  return new SqwishError(
    "invalid_request",
    `Calls go at most ${limits.callDepthMax} deep, ${caller!.endpoint} calls ${endpoint} at that depth; ` +
      "look for functions that call each other in a circle",
  );
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
  const { name, queueMax, closed } = set.routed;
  if (closed !== undefined) return new SqwishError("no_ready_replica", closed);
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

/** A wait of this share of what a request has is short: never a reason to refuse it. */
const shortShare = 0.1;
/** However much a function's times vary, a request may wait this share of what it has. */
const waitShareMin = 0.5;
/** What the way to and from its caller takes is not seen from here, nor what a busy machine adds to everything. */
const spareShare = 0.1;
/** Replicas that are still being given more at once may turn out to get through so many times as much. */
const unsettledFactor = 2;

/**
 * Asked only when no replica is free for it: what waits before it and what it takes itself are more than it has. What
 * is admitted is then answered in time (99 of 100), and the rest is free to go elsewhere at once. `target`: its
 * replicas, when any has shown it. docs/decisions/0026 has the reasons.
 */
export function refuseLate(
  requester: Requester,
  set: SetState,
  target: Target | undefined,
  remainingMs: number,
  nowMs: number,
): SqwishError | null {
  const { queue, roundTrip: { variation } } = set;
  if (!target || queue.size === 0) return null;
  const { servedPerMs, departures } = rateOf(target, nowMs);
  if (servedPerMs === 0) return null;
  let ahead = queue.aheadOf(requester.id);
  // Some of what waits is for others.
  if (target.replicas.length < set.replicas.length) {
    ahead = Math.min(ahead, queue.waiting(target.routed.endpoint));
  }
  const waitMs = usualWaitMs(ahead, servedPerMs, variation);
  if (waitMs <= remainingMs * shortShare) return null;
  const { meanMs, boundMs } = target.roundTrip;
  const runMs = Math.min(boundMs, Math.max(meanMs, remainingMs * (1 - waitShareMin)));
  const lateMs = longWaitMs(ahead, servedPerMs, variation, departures) + runMs -
    remainingMs * (1 - spareShare);
  if (lateMs <= 0) return null;
  return new SqwishError(
    "queue_full",
    `What waits before a request for ${target.routed.endpoint} takes about ${
      Math.round(waitMs)
    } ms, and it has ` +
      `${Math.round(remainingMs)} ms for all; send less at once or allow more time`,
    {
      details: {
        retryAfterMs: boundedRetryMs(lateMs),
        queued: queue.size,
        estimatedWaitMs: Math.round(waitMs),
      },
    },
  );
}

/** Written anew for each request that asks, so that none costs an object. */
const rate = { servedPerMs: 0, departures: 0 };

/** What the replicas of an endpoint get through per ms, all together, and by how many departures; 0: not known. */
function rateOf({ replicas }: Target, nowMs: number): Readonly<typeof rate> {
  let servedPerMs = 0;
  let slots = 0;
  let slotsUnknown = 0;
  let departures = 0;
  let isSettled = true;
  for (const { available, capacity, service } of replicas) {
    if (!available) continue;
    isSettled &&= capacity.hasSettled;
    const measured = service.perMs(nowMs);
    // One that has not been full is at best as quick with all slots in use as it was with a few.
    const own = measured || capacity.servedPerMs;
    servedPerMs += own;
    if (own > 0) slots += capacity.slots;
    else slotsUnknown += capacity.slots;
    departures += measured > 0 ? service.departures : repliesRemembered;
  }
  // A replica that has answered nothing yet is taken to be like the others.
  const whole = slots === 0 ? 0 : servedPerMs * (1 + slotsUnknown / slots);
  rate.servedPerMs = whole * (isSettled ? 1 : unsettledFactor);
  rate.departures = departures;
  return rate;
}

function tooLarge(what: string, bytesMax: number, bytes: number): SqwishError {
  const verb = what.endsWith("s") ? "take" : "takes";
  return new SqwishError("too_large", `${what} ${verb} at most ${bytesMax} bytes, this request has ${bytes}`);
}

/**
 * The errors that scheduling itself gives, in words, and their frames. Pure.
 * On the way: admission, deadlines, cancels and lost agents → here → the requester.
 * The invariant: what an error says about having run is never less than what may have happened.
 */
import { type ErrorCode, isErrorCode, SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import { decodeFrame, encodeFrame, Op, setFrameRequestId } from "../protocol/frame.ts";
import { emptyOutcome, type RequestOutcome } from "../request_outcome.ts";
import type { Fleet } from "./fleet.ts";
import type { Pending, Replica, Requester } from "./state.ts";

/** Writes the outcome of an admitted request into `outcome`. To be taken before its phase changes. */
export function fillOutcome(
  outcome: RequestOutcome,
  pending: Pending,
  code: "ok" | ErrorCode,
  runUs: number,
  nowMs: number,
  message: string,
): RequestOutcome {
  const { replica } = pending;
  outcome.endpoint = pending.endpoint;
  outcome.replicaSet = pending.set.routed.name;
  outcome.revision = replica === null ? 0 : replica.revision;
  outcome.agent = replica === null ? "" : replica.agent;
  outcome.code = code;
  outcome.queueMs = pending.waitedMs + (pending.phase === "queued" ? nowMs - pending.queuedMs : 0);
  outcome.totalMs = nowMs - pending.admittedMs;
  outcome.runUs = runUs;
  outcome.requester = pending.requester.describe;
  outcome.number = pending.number;
  outcome.message = message;
  return outcome;
}

/** The outcome of a request that was refused at once. */
export function refusalOf(
  requester: Requester,
  endpoint: string,
  number: number,
  { code, message }: SqwishError,
): RequestOutcome {
  return {
    ...emptyOutcome(),
    endpoint,
    replicaSet: endpoint.slice(0, Math.max(0, endpoint.indexOf("/"))),
    code,
    requester: requester.describe,
    number,
    message,
  };
}

/** An error frame for the requester's id; `epoch` and `number` make the request id. */
export function errorFrame(id: number, error: SqwishError, epoch: number, number: number): Uint8Array {
  const meta = JSON.stringify(error.toJSON().error);
  const frame = encodeFrame({ op: Op.error, id, meta });
  setFrameRequestId(frame, 0, epoch, number);
  return frame;
}

/** The code and words of an agent's error frame, and whether the request certainly didn't run; `internal` when it can't be read. */
export function readError(
  bytes: Uint8Array,
  at: number,
): { code: ErrorCode; unrun: boolean; message: string } {
  try {
    const meta = JSON.parse(decodeFrame(bytes, at).meta) as {
      code?: unknown;
      message?: unknown;
      details?: { mayHaveRun?: unknown };
    };
    const code = isErrorCode(meta.code) ? meta.code : "internal";
    const message = typeof meta.message === "string" ? meta.message : "";
    return { code, unrun: (meta.details?.mayHaveRun ?? "no") === "no", message };
  } catch {
    return { code: "internal", unrun: false, message: "" };
  }
}

/** The deadline came while it waited, or is nearer than it could be met. `readiness`: of replicas that could have run it. */
export function expiredInQueue(
  pending: Pending,
  readiness: ReturnType<Fleet["readiness"]>,
  nowMs: number,
): SqwishError {
  const waited = `${Math.round(pending.waitedMs + nowMs - pending.queuedMs)} ms`;
  const name = pending.endpoint;
  if (pending.attempt > 1) {
    return new SqwishError(
      "agent_lost",
      `The agent that ran ${name} was lost, and no other was free within the deadline`,
      { details: { mayHaveRun: "maybe", attempts: pending.attempt - 1 } },
    );
  }
  if (readiness === "never") {
    return new SqwishError(
      "no_ready_replica",
      `No replica of ${pending.set.routed.name} was ready to run ${name} within the deadline, it waited ${waited}`,
    );
  }
  const leftMs = Math.floor(pending.deadlineMs - nowMs);
  const until = leftMs > 0
    ? `for ${waited}, and ${leftMs} ms are less than it takes`
    : `until its deadline (${waited})`;
  return new SqwishError(
    "deadline_exceeded",
    `${name} waited in the queue ${until}; ${
      readiness === "ready" ? "every replica was busy" : "what was ready for it is gone"
    }`,
    { details: { mayHaveRun: "no", started: false } },
  );
}

export function expiredRunning(pending: Pending, nowMs: number): SqwishError {
  const elapsedMs = Math.round(nowMs - pending.admittedMs);
  return new SqwishError(
    "deadline_exceeded",
    `${pending.endpoint} did not end before its deadline on ${
      pending.replica!.agent
    }; it had ${elapsedMs} ms`,
    { details: { mayHaveRun: "maybe", started: true } },
  );
}

export function cancelled(pending: Pending): SqwishError {
  const mayHaveRun = pending.mayHaveRun ? "maybe" : "no";
  return new SqwishError("cancelled", `${pending.endpoint} was cancelled by its requester`, {
    details: { mayHaveRun },
  });
}

export function agentLost(pending: Pending, agent: string, reason: string): SqwishError {
  const why = pending.streaming
    ? "; parts of the stream had gone out"
    : pending.attempt > 1
    ? ` (attempt ${pending.attempt} of ${limits.attemptsMax})`
    : "";
  return new SqwishError(
    "agent_lost",
    `Agent ${agent} was lost while it ran ${pending.endpoint}${why}: ${reason}`,
    { details: { mayHaveRun: "maybe", agent, attempts: pending.attempt } },
  );
}

/** Its endpoint or its whole set went away while it waited, or all of the set's replicas by somebody's wish. */
export function removedMeanwhile(pending: Pending): SqwishError {
  const mayHaveRun = pending.attempt > 1 ? "maybe" : "no";
  const { closed } = pending.set.routed;
  if (closed !== undefined) {
    const code = pending.attempt > 1 ? "agent_lost" : "no_ready_replica";
    return new SqwishError(code, `${pending.endpoint} has nowhere to run: ${closed}`, {
      details: { mayHaveRun },
    });
  }
  return new SqwishError("not_found", `${pending.endpoint} was removed while the request waited for it`, {
    details: { mayHaveRun },
  });
}

export function managerStopping(pending: Pending): SqwishError {
  return new SqwishError("manager_lost", `The manager stopped before ${pending.endpoint} had ended`, {
    details: { mayHaveRun: pending.mayHaveRun ? "maybe" : "no" },
  });
}

/**
 * When a place in a full queue may be had: the time the replicas need for what waits (Little, "A proof for the
 * queuing formula L = λW", 1961), within bounds.
 */
export function retryAfterMs(queued: number, replicas: readonly Replica[]): number {
  let requestsPerMs = 0;
  for (const { capacity, runUs } of replicas) {
    requestsPerMs += capacity.servedPerMs || capacity.slots / Math.max(runUs / 1000, 1);
  }
  return boundedRetryMs(requestsPerMs > 0 ? queued / requestsPerMs : limits.retryAfterMsMax);
}

/** A whole number of ms within the bounds of what callers are told. */
export function boundedRetryMs(ms: number): number {
  return Math.round(Math.min(limits.retryAfterMsMax, Math.max(limits.retryAfterMsMin, ms)));
}

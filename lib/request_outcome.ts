/**
 * What became of one request: the dispatcher tells it, and metrics, rollouts and traces take of it what they need.
 * One object is filled in again and again, so whoever keeps something copies it.
 */
import type { ErrorCode } from "./errors.ts";

export interface RequestOutcome {
  /** Empty for a name that no replicaSet has. */
  endpoint: string;
  replicaSet: string;
  /** 0 when it was on no replica. */
  revision: number;
  /** The agent it was last on, or empty. */
  agent: string;
  code: "ok" | ErrorCode;
  queueMs: number;
  totalMs: number;
  /** As the runner measured it; 0 without a reply. */
  runUs: number;
  /** The user's name. */
  requester: string;
  /** The lower half of its request id. */
  number: number;
  /** What the error says; empty for "ok". */
  message: string;
}

/** An outcome to be filled in again and again: there is one per request. */
export function emptyOutcome(): RequestOutcome {
  return {
    endpoint: "",
    replicaSet: "",
    revision: 0,
    agent: "",
    code: "ok",
    queueMs: 0,
    totalMs: 0,
    runUs: 0,
    requester: "",
    number: 0,
    message: "",
  };
}

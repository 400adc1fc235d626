/**
 * The one error type and the closed table of outcomes (docs/protocol.md, "Errors").
 * A message names the action, the requirement and the current value, without a trailing period.
 * A cause is kept for the log and never pasted into the message.
 */

/** What a caller may conclude about whether user code ran. */
export type MayHaveRun = "no" | "maybe" | "yes";

interface ErrorRow {
  /** The code's number on the wire. Append-only. */
  wire: number;
  http: number;
  mayHaveRun: MayHaveRun;
}

export const errorTable = {
  invalid_request: { wire: 1, http: 400, mayHaveRun: "no" },
  unauthenticated: { wire: 2, http: 401, mayHaveRun: "no" },
  forbidden: { wire: 3, http: 403, mayHaveRun: "no" },
  not_found: { wire: 4, http: 404, mayHaveRun: "no" },
  conflict: { wire: 5, http: 409, mayHaveRun: "no" },
  too_large: { wire: 6, http: 413, mayHaveRun: "no" },
  version_mismatch: { wire: 7, http: 426, mayHaveRun: "no" },
  queue_full: { wire: 8, http: 429, mayHaveRun: "no" },
  no_ready_replica: { wire: 9, http: 503, mayHaveRun: "no" },
  agent_lost: { wire: 10, http: 503, mayHaveRun: "maybe" },
  manager_lost: { wire: 11, http: 503, mayHaveRun: "maybe" },
  deadline_exceeded: { wire: 12, http: 504, mayHaveRun: "maybe" },
  cancelled: { wire: 13, http: 499, mayHaveRun: "maybe" },
  module_failed: { wire: 14, http: 502, mayHaveRun: "yes" },
  internal: { wire: 15, http: 500, mayHaveRun: "maybe" },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/** Facts for machines beside the message. `mayHaveRun: "no"` narrows a code whose row says "maybe". */
export type ErrorDetails = Record<string, unknown> & { mayHaveRun?: MayHaveRun };

export class SqwishError extends Error {
  override readonly name = "SqwishError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get mayHaveRun(): MayHaveRun {
    return this.details.mayHaveRun ?? errorTable[this.code].mayHaveRun;
  }

  get http(): number {
    return errorTable[this.code].http;
  }

  /** The shape every API answers with: `{ error: { code, message, details } }`. */
  toJSON(): { error: { code: ErrorCode; message: string; details: ErrorDetails } } {
    return { error: { code: this.code, message: this.message, details: this.details } };
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(errorTable, value);
}

/** Any thrown value as a `SqwishError`; what isn't one yet becomes `internal` with the value as its cause. */
export function asSqwishError(thrown: unknown, action: string): SqwishError {
  if (thrown instanceof SqwishError) return thrown;
  return new SqwishError("internal", `${action} failed; the log has the details`, { cause: thrown });
}

/** One line for people: the message, then each cause's message. For logs and terminals, not for replies. */
export function describeError(thrown: unknown): string {
  const parts: string[] = [];
  for (let at = thrown; at !== undefined && at !== null && parts.length < 8;) {
    parts.push(at instanceof Error ? at.message : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(": ");
}

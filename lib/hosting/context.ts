/**
 * What a module's author sees: the second argument of every endpoint. `import type { Context } from "sqwish"`
 * is erased when types are stripped, so this file is for editors and is never loaded by a module.
 */

/** Writes lines that `client logs` shows, with the request's id. */
export interface ContextLog {
  debug(message: string, ...more: unknown[]): void;
  info(message: string, ...more: unknown[]): void;
  warn(message: string, ...more: unknown[]): void;
  error(message: string, ...more: unknown[]): void;
}

export interface Context {
  /** What was invoked, as `replicaSet/function`. */
  readonly endpoint: string;
  /** 16 hex digits; the same on every program the request passes. */
  readonly requestId: string;
  /** 1 for the first try, 2 when an idempotent request is run again, and so on. */
  readonly attempt: number;
  /** What is left of the deadline, in ms; 0 once it has passed. */
  readonly remainingMs: number;
  /** Aborts when the caller gives up, when the deadline passes and when this replica must end. */
  readonly signal: AbortSignal;
  /** The headers the caller sent along, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** `env` of the replicaSet's specification. */
  readonly env: Readonly<Record<string, string>>;
  readonly log: ContextLog;
  /**
   * Invokes any endpoint through the cluster within what is left of this request's deadline.
   * A `Uint8Array` goes and comes as bytes, everything else as JSON. Throws an `InvokeError`.
   */
  invoke<Reply = unknown>(endpoint: string, input?: unknown, options?: InvokeOptions): Promise<Reply>;
}

export interface InvokeOptions {
  /** Never more than `remainingMs`. */
  timeoutMs?: number;
  /** The called endpoint may run twice. */
  idempotent?: boolean;
  /** Gives up on this call alone. The request's own `signal` always counts too. */
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/** What `ctx.invoke` throws: `code` is one of the table of outcomes, e.g. `not_found` or `deadline_exceeded`. */
export interface InvokeError extends Error {
  readonly code: string;
  readonly details: Record<string, unknown>;
}

/** What `export const endpoints = { resize: {…} }` may say of each exported function. All of it is optional. */
export interface EndpointOptions {
  /** Shown to users; the docstring's first sentence when absent. */
  description?: string;
  /** JSON Schema (2020-12) of the input; what doesn't fit is refused before the function runs. */
  input?: Record<string, unknown>;
  /** The deadline of a request that names none, in ms. */
  timeoutMs?: number;
  /** A request may run again when its agent is lost. */
  idempotent?: boolean;
}

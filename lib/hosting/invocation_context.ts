/**
 * The `ctx` of one request (context.ts says what it promises). Everything on it is made when a module asks for it:
 * most ask for nothing, and a small function costs less than its context would.
 */
import { continueTrace, traceHeader } from "../trace_context.ts";
import type { Context, ContextLog, InvokeOptions } from "./context.ts";

/** What a context tells of. */
export interface ContextSource {
  readonly endpointName: string;
  readonly requestId: string;
  readonly attempt: number;
  readonly remainingMs: number;
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly log: ContextLog;
  invoke(endpoint: string, input: unknown, options: InvokeOptions): Promise<unknown>;
}

export class InvocationContext implements Context {
  readonly #source: ContextSource;

  constructor(source: ContextSource) {
    this.#source = source;
  }

  get endpoint(): string {
    return this.#source.endpointName;
  }

  get requestId(): string {
    return this.#source.requestId;
  }

  get attempt(): number {
    return this.#source.attempt;
  }

  get remainingMs(): number {
    return this.#source.remainingMs;
  }

  get signal(): AbortSignal {
    return this.#source.signal;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#source.headers;
  }

  get env(): Readonly<Record<string, string>> {
    return this.#source.env;
  }

  get log(): ContextLog {
    return this.#source.log;
  }

  /** A function of its own, since authors write `const { invoke } = ctx`. */
  get invoke(): Context["invoke"] {
    const source = this.#source;
    return (endpoint, input, options) => source.invoke(endpoint, input, options ?? {}) as Promise<never>;
  }
}

/**
 * The headers of a request from its `meta`; none when that is not what it should be. A `traceparent` names this
 * request as the parent of what the module does.
 */
export function parseHeaders(meta: string, requestId: string): Readonly<Record<string, string>> {
  if (!meta) return Object.freeze({});
  try {
    const value: unknown = JSON.parse(meta);
    if (typeof value !== "object" || value === null) return Object.freeze({});
    return Object.freeze(Object.fromEntries(
      Object.entries(value).map(([key, given]) => {
        const [name, text] = [key.toLowerCase(), String(given)];
        return [name, name === traceHeader ? continueTrace(text, requestId) : text];
      }),
    ));
  } catch {
    return Object.freeze({});
  }
}

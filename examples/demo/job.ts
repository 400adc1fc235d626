/** One piece of the demo's work. It is right when its check does not throw. */

export interface Job {
  endpoint: string;
  input: unknown;
  headers?: Record<string, string>;
  /** The reply is a stream; its parts are checked as an array. */
  stream?: boolean;
  /** Throws when the reply is wrong. */
  check(reply: unknown): void;
}

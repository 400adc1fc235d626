/** What an HTTP connection has read, as a web request, and the bounds on bodies: for one, and for all together. */
import { SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { type RequestHead, unreadable } from "../../protocol/http_head.ts";

/** A whole set, in base64. */
const deployBytesMax = Math.ceil(limits.setBytesMax * 4 / 3) + limits.controlBytesMax;
const deployPath = "/v1/replicasets";
/** An input with some to spare, so that the route itself can say what is too much of it. */
const requestBytesMax = limits.bodyBytesMax + limits.controlBytesMax;
export function bodyBytesMaxOf(head: RequestHead): number {
  return head.path === deployPath ? deployBytesMax : requestBytesMax;
}

/** Bytes of bodies now in memory: they are read before anyone knows who sends them. */
export class Bodies {
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts `difference` bytes; false when there are more than may be. */
  hold(difference: number): boolean {
    this.#bytes += difference;
    return this.#bytes <= limits.httpBodiesBytesMax;
  }
}

export function tooManyBodies(): SqwishError {
  return new SqwishError(
    "queue_full",
    `The manager holds at most ${limits.httpBodiesBytesMax} bytes of requests at once; try again in a second`,
    { details: { retryAfterMs: 1000, mayHaveRun: "no" } },
  );
}

/** Throws `invalid_request` for an address, a method or headers that no request may have. */
export function webRequest(
  head: RequestHead,
  body: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Request {
  const { method } = head;
  const hasBody = body.length > 0 && method !== "GET" && method !== "HEAD";
  try {
    const url = new URL(`https://${head.headers.get("host") ?? "manager"}${head.target}`);
    return new Request(url, { method, headers: [...head.headers], body: hasBody ? body : null, signal });
  } catch (cause) {
    throw unreadable(cause instanceof Error ? cause.message : "its parts contradict each other");
  }
}

/**
 * W3C Trace Context (www.w3.org/TR/trace-context): `traceparent` taken, continued and passed on. A request's span is
 * named by its request id, which is as long as a span id has to be and known on every hop: nothing is made up on the
 * way, and nothing is rewritten in frames. Pure.
 */

export interface TraceParent {
  /** 32 hex digits. */
  traceId: string;
  /** The caller's span, 16 hex digits. */
  spanId: string;
  /** The caller wants it recorded. */
  sampled: boolean;
}

export const traceHeader = "traceparent";

const pattern = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** Null for what is no traceparent, which is then as if it were not there. */
export function parseTraceParent(text: string | undefined): TraceParent | null {
  const match = text === undefined ? null : pattern.exec(text);
  if (!match) return null;
  return { traceId: match[1], spanId: match[2], sampled: (Number.parseInt(match[3], 16) & 1) === 1 };
}

/** The header for whatever the request calls in turn; the text itself when it is no traceparent. */
export function continueTrace(text: string, requestId: string): string {
  const parent = parseTraceParent(text);
  return parent ? `00-${parent.traceId}-${requestId}-${parent.sampled ? "01" : "00"}` : text;
}

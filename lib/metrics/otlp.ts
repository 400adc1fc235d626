/**
 * Finished requests as spans of OTLP/HTTP in JSON (opentelemetry.io/docs/specs/otlp, opentelemetry-proto's trace
 * service). Pure: outcome and traceparent → span → the body of one export.
 */
import type { RequestOutcome } from "../request_outcome.ts";
import { parseTraceParent } from "../trace_context.ts";

export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  startMs: number;
  endMs: number;
  error: string | null;
  attributes: Record<string, string | number>;
}

/** The `SpanKind` and `StatusCode` of opentelemetry-proto. */
const spanKindServer = 2;
const statusCodeError = 2;

/** Null when the caller sent no traceparent, or one that says not to record. */
export function spanOf(
  facts: RequestOutcome,
  traceparent: string | undefined,
  requestId: string,
  endMs: number,
): Span | null {
  const parent = parseTraceParent(traceparent);
  if (!parent?.sampled) return null;
  return {
    traceId: parent.traceId,
    spanId: requestId,
    parentSpanId: parent.spanId,
    name: facts.endpoint,
    startMs: endMs - facts.totalMs,
    endMs,
    error: facts.code === "ok" ? null : facts.message || facts.code,
    attributes: {
      "sqwish.endpoint": facts.endpoint,
      "sqwish.outcome": facts.code,
      "sqwish.queue_ms": facts.queueMs,
      ...(facts.runUs > 0 ? { "sqwish.run_ms": facts.runUs / 1000 } : {}),
      ...(facts.agent ? { "sqwish.agent": facts.agent, "sqwish.revision": facts.revision } : {}),
    },
  };
}

/** The body of one `POST /v1/traces`. */
export function encodeSpans(spans: readonly Span[], cluster: string, version: string): string {
  return JSON.stringify({
    resourceSpans: [{
      resource: {
        attributes: attributesOf({
          "service.name": "sqwish",
          "service.namespace": cluster,
          "service.version": version,
        }),
      },
      scopeSpans: [{ scope: { name: "sqwish", version }, spans: spans.map(encodeSpan) }],
    }],
  });
}

function encodeSpan(span: Span): unknown {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    name: span.name,
    kind: spanKindServer,
    startTimeUnixNano: nanosOf(span.startMs),
    endTimeUnixNano: nanosOf(span.endMs),
    attributes: attributesOf(span.attributes),
    status: span.error === null ? {} : { code: statusCodeError, message: span.error },
  };
}

/** 64 bit integers are strings in the JSON of protocol buffers, and a number could not hold them. */
function nanosOf(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n);
}

function attributesOf(attributes: Record<string, string | number>): unknown[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === "string"
      ? { stringValue: value }
      : Number.isInteger(value)
      ? { intValue: String(value) }
      : { doubleValue: value },
  }));
}

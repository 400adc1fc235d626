/**
 * Which requests the invoke door answers: head → here → invoke door. Pure. Streams, cookies, pages of other origins
 * and values that need an explanation are the hono app's.
 */
import { limits } from "../../limits.ts";
import { Flag } from "../../protocol/frame.ts";
import type { RequestHead } from "../../protocol/http_head.ts";
import { bytesType } from "./invoke.ts";
import { moduleHeaders } from "./module_headers.ts";

export interface InvokeHead {
  endpoint: string;
  /** The request frame's. */
  flags: number;
  /** 0: the endpoint's own. */
  timeoutMs: number;
  /** JSON of the headers for the module; empty for none. */
  meta: string;
  authorization: string;
}

const invokeTarget = /^\/v1\/invoke\/(\w[\w.-]*\/[\w$]+)$/;

/** Null: the request takes the common way. */
export function invokeHeadOf({ method, target, headers, body }: RequestHead): InvokeHead | null {
  const endpoint = method === "POST" ? invokeTarget.exec(target)?.[1] : undefined;
  const authorization = headers.get("authorization");
  const timeoutMs = wholeNumber(headers.get("sqwish-timeout-ms") ?? "0", limits.timeoutMsMax);
  const idempotent = headers.get("sqwish-idempotent") ?? "false";
  const isPlain = endpoint !== undefined && authorization !== undefined && timeoutMs !== null &&
    (timeoutMs > 0 || !headers.has("sqwish-timeout-ms")) &&
    (idempotent === "true" || idempotent === "false") &&
    body !== "chunked" && body <= limits.bodyBytesMax &&
    !headers.has("origin") && !headers.has("cookie") &&
    !(headers.get("accept") ?? "").includes("text/event-stream");
  if (!isPlain) return null;
  const isBytes = (headers.get("content-type") ?? "").toLowerCase().startsWith(bytesType);
  return {
    endpoint,
    flags: (isBytes ? Flag.bytes : 0) | (idempotent === "true" ? Flag.idempotent : 0),
    timeoutMs,
    meta: moduleHeaders(headers),
    authorization,
  };
}

/** A number without sign or spaces, at most `max`. */
function wholeNumber(text: string, max: number): number | null {
  if (!/^\d{1,9}$/.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}

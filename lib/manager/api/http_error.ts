/** An error as an HTTP answer: the headers that go with its JSON. The same for every way a request can come in. */
import type { SqwishError } from "../../errors.ts";
import { isRequestId } from "../../protocol/frame.ts";

/** By `Sec-Fetch-Mode`: a script asks, not a person at the address bar and not a program. */
export function isFromPage(mode: string | undefined): boolean {
  return mode !== undefined && mode !== "navigate";
}

/** `fromPage`: see `isFromPage`. */
export function errorHeaders(error: SqwishError, fromPage: boolean): Record<string, string> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  const { retryAfterMs, requestId } = error.details;
  if (typeof retryAfterMs === "number") {
    headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  }
  if (isRequestId(requestId)) headers["sqwish-request-id"] = requestId;
  // A page asks by itself; only then must the browser not open its own password box.
  if (error.code === "unauthenticated" && !fromPage) {
    headers["www-authenticate"] = 'Basic realm="Sqwish", charset="UTF-8"';
  }
  return headers;
}

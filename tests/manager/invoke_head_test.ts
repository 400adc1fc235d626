/** Which requests the invoke door answers by itself, and which take the common way. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { limits } from "../../lib/limits.ts";
import { invokeHeadOf } from "../../lib/manager/api/invoke_head.ts";
import { Flag } from "../../lib/protocol/frame.ts";
import { readRequestHead } from "../../lib/protocol/http_head.ts";

const line = "POST /v1/invoke/images/resize HTTP/1.1";
const usual = ["Host: manager:7443", "Authorization: Basic YTpi", "Content-Length: 5"];

function read(lines: string[] = usual, first = line) {
  return invokeHeadOf(readRequestHead(Buffer.from([first, ...lines, "", ""].join("\r\n"), "latin1"))!);
}

Deno.test("a plain invoke is taken with all that it says", () => {
  const lines = [
    ...usual,
    "content-type:Application/Octet-Stream; x=y",
    "Sqwish-Timeout-Ms: 1500",
    "sqwish-idempotent: true ",
    "Sqwish-Header-Trace:\ta b\t",
    "Accept: */*",
  ];
  assert.deepEqual(read(lines), {
    endpoint: "images/resize",
    flags: Flag.bytes | Flag.idempotent,
    timeoutMs: 1500,
    meta: '{"trace":"a b"}',
    authorization: "Basic YTpi",
  });
});

/** Each may be fine, and then the hono app answers it; or the app says what is wrong with it. */
const others: Record<string, [string[], string?]> = {
  "another method": [usual, "GET /v1/invoke/images/resize HTTP/1.1"],
  "another path": [usual, "POST /v1/users HTTP/1.1"],
  "a path with more parts": [usual, "POST /v1/invoke/images/resize/x HTTP/1.1"],
  "a path that leads elsewhere": [usual, "POST /v1/invoke/../users HTTP/1.1"],
  "an escaped path": [usual, "POST /v1/invoke/images/re%73ize HTTP/1.1"],
  "a query": [usual, "POST /v1/invoke/images/resize?x=1 HTTP/1.1"],
  "no credentials": [[usual[0], usual[2]]],
  "a body that is too large": [[...usual.slice(0, 2), `Content-Length: ${limits.bodyBytesMax + 1}`]],
  "chunks": [[...usual.slice(0, 2), "Transfer-Encoding: chunked"]],
  "a page of some site": [[...usual, "Origin: https://evil.example"]],
  "a cookie": [[...usual, "Cookie: sqwish_session=x"]],
  "a stream": [[...usual, "Accept: text/event-stream"]],
  "a timeout that is none": [[...usual, "Sqwish-Timeout-Ms: 0"]],
  "a timeout in words": [[...usual, "Sqwish-Timeout-Ms: soon"]],
  "an odd idempotence": [[...usual, "Sqwish-Idempotent: maybe"]],
};

for (const [what, [lines, first]] of Object.entries(others)) {
  Deno.test(`takes the common way: ${what}`, () => assert.equal(read(lines, first), null));
}

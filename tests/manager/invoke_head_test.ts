/** Which requests the invoke door reads by itself, and that it leaves every doubtful one to node:http. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { plainBodyBytesMax, readInvokeHead } from "../../lib/manager/api/invoke_head.ts";
import { Flag } from "../../lib/protocol/frame.ts";

const line = "POST /v1/invoke/images/resize HTTP/1.1";
const usual = ["Host: manager:7443", "Authorization: Basic YTpi", "Content-Length: 5"];

function head(lines: string[] = usual, first = line): string {
  return [first, ...lines, "", ""].join("\r\n");
}

const read = (text: string) => readInvokeHead(Buffer.from(text, "latin1"));

Deno.test("a plain head is read with all that it says", () => {
  const text = head([
    ...usual,
    "content-type:Application/Octet-Stream; x=y",
    "Sqwish-Timeout-Ms: 1500",
    "sqwish-idempotent: true ",
    "Sqwish-Header-Trace:\ta b\t",
    "Connection: Keep-Alive",
    "Accept: */*",
    "User-Agent: test/1.0 (x; y)",
    "Sec-Fetch-Mode: cors",
  ]);
  assert.deepEqual(read(`${text}12345POST`), {
    headBytes: text.length,
    bodyBytes: 5,
    endpoint: "images/resize",
    flags: Flag.bytes | Flag.idempotent,
    timeoutMs: 1500,
    meta: '{"trace":"a b"}',
    authorization: "Basic YTpi",
    fromPage: true,
  });
});

Deno.test("a head that comes byte by byte is waited for, up to a bound", () => {
  const text = head();
  for (let length = 0; length < text.length; length++) {
    assert.equal(read(text.slice(0, length)), "more", `after ${length} bytes`);
  }
  assert.equal(typeof read(text), "object");
  const endless = `${line}\r\nX-Long: ${"a".repeat(9000)}`;
  assert.equal(read(endless), "other");
  assert.equal(read(`${endless}\r\n\r\n`), "other");
});

/** Each may be fine, and then node:http serves it; none of them has a length or a meaning that is beyond doubt. */
const others: Record<string, string> = {
  "another method": head(usual, "GET /v1/invoke/images/resize HTTP/1.1"),
  "another path": head(usual, "POST /v1/users HTTP/1.1"),
  "a path with more parts": head(usual, "POST /v1/invoke/images/resize/x HTTP/1.1"),
  "a path that leads elsewhere": head(usual, "POST /v1/invoke/../users HTTP/1.1"),
  "an escaped path": head(usual, "POST /v1/invoke/images/re%73ize HTTP/1.1"),
  "a query": head(usual, "POST /v1/invoke/images/resize?x=1 HTTP/1.1"),
  "HTTP/1.0": head(usual, "POST /v1/invoke/images/resize HTTP/1.0"),
  "two spaces": head(usual, "POST /v1/invoke/images/resize  HTTP/1.1"),
  "an empty line before": `\r\n${head()}`,
  "no host": head(usual.slice(1)),
  "two hosts": head([...usual, "host: other"]),
  "an odd host": head(["Host: a/b", ...usual.slice(1)]),
  "no credentials": head([usual[0], usual[2]]),
  "two credentials": head([...usual, "authorization: Basic Yzpk"]),
  "no length": head(usual.slice(0, 2)),
  "the same length twice": head([...usual, "Content-Length: 5"]),
  "two lengths": head([...usual, "content-length: 6"]),
  "a list of lengths": head([...usual.slice(0, 2), "Content-Length: 5, 5"]),
  "a signed length": head([...usual.slice(0, 2), "Content-Length: +5"]),
  "a length in hexadecimal": head([...usual.slice(0, 2), "Content-Length: 0x5"]),
  "an empty length": head([...usual.slice(0, 2), "Content-Length:"]),
  "a large body": head([...usual.slice(0, 2), `Content-Length: ${plainBodyBytesMax + 1}`]),
  "chunks": head([...usual.slice(0, 2), "Transfer-Encoding: chunked"]),
  "chunks and a length": head([...usual, "Transfer-Encoding: chunked"]),
  "another transfer encoding": head([...usual, "transfer-encoding: identity"]),
  "a space before the colon": head([...usual, "Transfer-Encoding : chunked"]),
  "a folded line": head([...usual, "X-A: b", " Transfer-Encoding: chunked"]),
  "a bare line feed": head([...usual, "X-A: b\nTransfer-Encoding: chunked"]),
  "a bare carriage return": head([...usual, "X-A: b\rTransfer-Encoding: chunked"]),
  "a line without a colon": head([...usual, "Transfer-Encoding"]),
  "a zero byte": head([...usual, "X-A: b\0c"]),
  "a value that is not ASCII": head([...usual, "X-A: \xe4"]),
  "a name that is not ASCII": head([...usual, "X-\xc4: a"]),
  "an upgrade": head([...usual, "Connection: Upgrade", "Upgrade: websocket"]),
  "the last request": head([...usual, "Connection: close"]),
  "who waits to be asked for the body": head([...usual, "Expect: 100-continue"]),
  "a page of some site": head([...usual, "Origin: https://evil.example"]),
  "a cookie": head([...usual, "Cookie: sqwish_session=x"]),
  "a stream": head([...usual, "Accept: text/event-stream"]),
  "a timeout that is none": head([...usual, "Sqwish-Timeout-Ms: 0"]),
  "a timeout in words": head([...usual, "Sqwish-Timeout-Ms: soon"]),
  "an odd idempotence": head([...usual, "Sqwish-Idempotent: maybe"]),
};

for (const [what, text] of Object.entries(others)) {
  Deno.test(`left to node:http: ${what}`, () => assert.equal(read(text), "other"));
}

Deno.test("whatever is changed in a plain head, its body never gets another length by it", () => {
  const text = head([...usual, "Accept: */*"]);
  const bytes = fc.uint8Array({ maxLength: 3 }).map((all) => String.fromCharCode(...all));
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(3), bytes, (at, cut, put) => {
      const changed = text.slice(0, at) + put + text.slice(at + cut);
      const result = read(changed);
      if (typeof result === "string") return;
      const said = /^content-length:[ \t]*(\d+)[ \t]*$/im.exec(changed.slice(0, result.headBytes));
      assert.equal(result.bodyBytes, Number(said?.[1]));
      assert.equal(changed.indexOf("\r\n\r\n") + 4, result.headBytes);
    }),
    { numRuns: 2000 },
  );
});

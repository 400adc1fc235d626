/** Heads of HTTP requests: what is read, and that whatever could be read in two ways is refused. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { limits } from "../../lib/limits.ts";
import { readRequestHead } from "../../lib/protocol/http_head.ts";

const line = "POST /v1/invoke/images/resize HTTP/1.1";
const usual = ["Host: manager:7443", "Authorization: Basic YTpi", "Content-Length: 5"];

function head(lines: string[] = usual, first = line): string {
  return [first, ...lines, "", ""].join("\r\n");
}

const read = (text: string) => readRequestHead(Buffer.from(text, "latin1"));

Deno.test("a head is read with all that it says", () => {
  const text = head(
    [...usual, "X-A:\tb c\t", "x-a: \xe4 ", "Cookie: a=1", "Cookie: b=2", "Expect: 100-Continue"],
    "PATCH /v1/users?name=ada#x HTTP/1.1",
  );
  assert.deepEqual(read(`${text}12345POST`), {
    headBytes: text.length,
    method: "PATCH",
    target: "/v1/users?name=ada#x",
    path: "/v1/users",
    isOld: false,
    headers: new Map([
      ["host", "manager:7443"],
      ["authorization", "Basic YTpi"],
      ["content-length", "5"],
      ["x-a", "b c, \xe4"],
      ["cookie", "a=1; b=2"],
      ["expect", "100-Continue"],
    ]),
    body: 5,
    keepsAlive: true,
    expectsContinue: true,
  });
});

Deno.test("connections of old clients, and of those who say so, end after the answer", () => {
  assert.equal(read(head(usual))!.keepsAlive, true);
  assert.equal(read(head([...usual, "Connection: keep-alive, Close"]))!.keepsAlive, false);
  assert.equal(read(head([], "GET /ca.pem HTTP/1.0"))!.keepsAlive, false);
});

Deno.test("a proxy's form of the address counts by its path", () => {
  assert.equal(read(head(usual, "GET https://other:1/a?b HTTP/1.1"))!.target, "/a?b");
  assert.equal(read(head(usual, "GET http://other HTTP/1.1"))!.target, "/");
  assert.equal(read(head(usual, "GET //other/a HTTP/1.1"))!.target, "//other/a");
});

Deno.test("a head that comes byte by byte is waited for, up to a bound", () => {
  const text = head();
  for (let length = 0; length < text.length; length++) {
    assert.equal(read(text.slice(0, length)), null, `after ${length} bytes`);
  }
  assert.ok(read(text));
  const endless = `${line}\r\nX-Long: ${"a".repeat(limits.httpHeadBytesMax)}`;
  assert.throws(() => read(endless), { code: "too_large" });
  assert.throws(() => read(`${endless}\r\n\r\n`), { code: "too_large" });
});

Deno.test("no head takes long to read, whatever stands in it", () => {
  // With a pattern that can match spaces in more than one way, each of these takes minutes.
  const spaces = " ".repeat(limits.httpHeadBytesMax - 200);
  assert.throws(() => read(head([usual[0], `A:${spaces}\x01`])), { code: "invalid_request" });
  assert.equal(read(head([usual[0], `A: x${spaces}x`]))!.headers.get("a"), `x${spaces}x`);
  assert.equal(read(head([usual[0], `A:${spaces}x${" \t".repeat(20)}`]))!.headers.get("a"), "x");
});

Deno.test("who speaks another protocol is told before the head's end", () => {
  for (const text of ["\x16\x03\x01\x02", "\0", `{"type":"hello"}`, `${"A".repeat(33)}`]) {
    assert.throws(() => read(text), { code: "invalid_request" });
  }
});

const refused: Record<string, string> = {
  "a path without a slash": head(usual, "POST v1/users HTTP/1.1"),
  "a whole server": head(usual, "OPTIONS * HTTP/1.1"),
  "two spaces": head(usual, "POST /v1/invoke/images/resize  HTTP/1.1"),
  "another protocol": head(usual, "POST / HTTP/2.0"),
  "a space in the path": head(usual, "POST /a b HTTP/1.1"),
  "an empty line before": `\r\n${head()}`,
  "no host": head(usual.slice(1)),
  "two hosts": head([...usual, "host: other"]),
  "an odd host": head(["Host: a/b", ...usual.slice(1)]),
  "two credentials": head([...usual, "authorization: Basic Yzpk"]),
  "the same length twice": head([...usual, "Content-Length: 5"]),
  "two lengths": head([...usual, "content-length: 6"]),
  "a list of lengths": head([...usual.slice(0, 2), "Content-Length: 5, 5"]),
  "a signed length": head([...usual.slice(0, 2), "Content-Length: +5"]),
  "a length in hexadecimal": head([...usual.slice(0, 2), "Content-Length: 0x5"]),
  "an empty length": head([...usual.slice(0, 2), "Content-Length:"]),
  "a length beyond whole numbers": head([...usual.slice(0, 2), `Content-Length: ${"9".repeat(16)}`]),
  "chunks and a length": head([...usual, "Transfer-Encoding: chunked"]),
  "chunks of an old client": head([usual[0], "Transfer-Encoding: chunked"], "POST / HTTP/1.0"),
  "another transfer encoding": head([...usual.slice(0, 2), "transfer-encoding: gzip, chunked"]),
  "two transfer encodings": head([
    ...usual.slice(0, 2),
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: x",
  ]),
  "a space before the colon": head([...usual, "Transfer-Encoding : chunked"]),
  "a folded line": head([...usual, "X-A: b", " Transfer-Encoding: chunked"]),
  "a bare line feed": head([...usual, "X-A: b\nTransfer-Encoding: chunked"]),
  "a bare carriage return": head([...usual, "X-A: b\rTransfer-Encoding: chunked"]),
  "a line without a colon": head([...usual, "Transfer-Encoding"]),
  "a line without a name": head([...usual, ": chunked"]),
  "a zero byte": head([...usual, "X-A: b\0c"]),
  "a name that is not ASCII": head([...usual, "X-\xc4: a"]),
  "an expectation nobody knows": head([...usual, "Expect: a-miracle"]),
};

for (const [what, text] of Object.entries(refused)) {
  Deno.test(`refused: a head with ${what}`, () => {
    assert.throws(() => read(text), {
      code: "invalid_request",
      message: /^The manager reads HTTP requests whose/,
    });
  });
}

Deno.test("whatever is changed in a head, its body never gets a length that it doesn't say", () => {
  const text = head([...usual, "Accept: */*"]);
  const bytes = fc.uint8Array({ maxLength: 3 }).map((all) => String.fromCharCode(...all));
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(3), bytes, (at, cut, put) => {
      const changed = text.slice(0, at) + put + text.slice(at + cut);
      let result;
      try {
        result = read(changed);
      } catch {
        return;
      }
      if (result === null) return;
      const said = /^content-length:[ \t]*(\d+)[ \t]*$/im.exec(changed.slice(0, result.headBytes));
      assert.equal(result.body, Number(said?.[1] ?? 0));
      assert.equal(changed.indexOf("\r\n\r\n") + 4, result.headBytes);
    }),
    { numRuns: 2000 },
  );
});

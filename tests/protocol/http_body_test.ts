/** Bodies of HTTP requests: by their length and in chunks, however they are cut. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { HttpBody } from "../../lib/protocol/http_body.ts";

const bytesMax = 10_000;

/** Pushes the pieces; resolves with the body, once whole, and what came after it. */
function readAll(body: number | "chunked", pieces: string[]) {
  const reader = new HttpBody(body, bytesMax);
  let rest = "";
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, "latin1");
    rest += (reader.isWhole ? bytes : reader.push(bytes)).toString("latin1");
  }
  return { text: Buffer.from(reader.take()).toString("latin1"), isWhole: reader.isWhole, rest };
}

/** Cut after each of the places. */
function cut(text: string, places: number[]): string[] {
  const ends = [...new Set(places.map((place) => place % (text.length + 1)))].sort((a, b) => a - b);
  return [...ends, text.length].map((end, index) => text.slice(index === 0 ? 0 : ends[index - 1], end));
}

Deno.test("a body of any chunks, cut anywhere, is the one that was sent, and what follows stays", () => {
  const chunk = fc.string({ unit: "binary-ascii", minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(
      fc.array(chunk, { maxLength: 8 }),
      fc.array(fc.nat()),
      fc.constantFrom("", ";a=b"),
      fc.constantFrom("", "X-A: b\r\nX-B: c\r\n"),
      (chunks, places, extension, trailers) => {
        const coded = chunks.map((each) => `${each.length.toString(16)}${extension}\r\n${each}\r\n`).join("");
        const sent = `${coded}0\r\n${trailers}\r\nGET / HTTP/1.1`;
        const { text, isWhole, rest } = readAll("chunked", cut(sent, places));
        assert.equal(isWhole, true);
        assert.equal(text, chunks.join(""));
        assert.equal(rest, "GET / HTTP/1.1");
      },
    ),
  );
});

Deno.test("a body by its length, cut anywhere, is the one that was sent", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 3000 }), fc.array(fc.nat()), (text, places) => {
      const got = readAll(text.length, cut(`${text}next`, places));
      assert.deepEqual(got, { text, isWhole: true, rest: "next" });
    }),
  );
  assert.equal(readAll(5, ["1234"]).isWhole, false);
});

Deno.test("what is no chunk, and what is too much, is refused", () => {
  const refused: [string, string][] = [
    ["no length\r\n", "invalid_request"],
    ["-1\r\n", "invalid_request"],
    ["0x5\r\nhello\r\n", "invalid_request"],
    ["\r\n", "invalid_request"],
    ["5\nhello\r\n", "invalid_request"],
    ["5\r\nhello!\r\n", "invalid_request"],
    ["5;a\0\r\nhello\r\n", "invalid_request"],
    ["5".padStart(2000, " "), "invalid_request"],
    [`0\r\n${"X-A: b\r\n".repeat(200)}\r\n`, "invalid_request"],
    ["fffffff\r\n", "too_large"],
    ["1000\r\n" + "a".repeat(0x1000) + "\r\n2000\r\n", "too_large"],
  ];
  for (const [text, code] of refused) {
    assert.throws(() => readAll("chunked", [text]), { code }, text.slice(0, 30));
    assert.throws(
      () => readAll("chunked", [...text.slice(0, 9000)]),
      { code },
      `byte by byte: ${text.slice(0, 30)}`,
    );
  }
  assert.throws(() => readAll(bytesMax + 1, []), {
    code: "too_large",
    message: /at most 10000 bytes.*has 10001/,
  });
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeToken, type JoinToken, parseToken } from "../../lib/security/token.ts";
import { rejectsWith } from "./rejects_with.ts";

const token: JoinToken = {
  addresses: ["attic.local:7443", "192.168.1.10:7443", "[fe80::1]:7443"],
  fingerprint: "0123456789abcdef".repeat(4),
  user: "join-7",
  password: "Zm9vYmFyLWFuZC1tb3JlLXNlY3JldC1ieXRlcy1oZXJl",
  role: "agent",
  expiresAtMs: 1_800_000_000_000,
};

Deno.test("`parseToken()` reads what `encodeToken()` wrote", () => {
  assert.deepEqual(parseToken(encodeToken(token)), token);
  const { expiresAtMs: _, ...forEver } = token;
  assert.deepEqual(parseToken(encodeToken(forEver)), forEver);
});

Deno.test("any user, password and role survive in a token that is one plain word", () => {
  const some = fc.record({
    user: fc.string({ minLength: 1, maxLength: 60, unit: "binary" }),
    password: fc.string({ minLength: 1, maxLength: 60, unit: "binary" }),
    role: fc.constantFrom("agent" as const, "client" as const),
    expiresAtMs: fc.integer({ min: 1 }),
  });
  fc.assert(fc.property(some, (fields) => {
    const text = encodeToken({ ...token, ...fields });
    assert.match(text, /^sqwish1_[\w-]+$/);
    assert.deepEqual(parseToken(text), { ...token, ...fields });
  }));
});

Deno.test("a token that was wrapped by a terminal is read all the same", () => {
  const text = encodeToken(token);
  assert.deepEqual(parseToken(` ${text.slice(0, 80)}\r\n  ${text.slice(80)}\n`), token);
});

Deno.test("a token with any one character changed, left out or doubled is refused as mistyped", async () => {
  const text = encodeToken(token);
  for (let at = "sqwish1_".length; at < text.length; at++) {
    const other = text[at] === "A" ? "B" : "A";
    for (const middle of [other, "", text[at] + text[at], text[at] + "!"]) {
      const damaged = text.slice(0, at) + middle + text.slice(at + 1);
      await rejectsWith(() => parseToken(damaged), "invalid_request", "cut or mistyped");
    }
  }
  await rejectsWith(() => parseToken("sqwish1_"), "invalid_request", "cut or mistyped");
});

Deno.test("text that is no token is refused, saying how one starts and where to get one", async () => {
  for (const text of ["", "hello", "https://attic.local:7443", "sqwish_abc", encodeToken(token).slice(1)]) {
    const error = await rejectsWith(() => parseToken(text), "invalid_request", 'must start with "sqwish1_"');
    assert.ok(error.message.includes("manager token agent"));
  }
});

Deno.test("a token of a later form is refused as made by a newer version", async () => {
  const text = encodeToken(token).replace("sqwish1_", "sqwish2_");
  await rejectsWith(() => parseToken(text), "invalid_request", "newer version");
});

Deno.test("`parseToken()` never throws anything but `invalid_request`", async () => {
  await fc.assert(fc.asyncProperty(fc.string(), async (text) => {
    await rejectsWith(() => parseToken(`sqwish1_${text}`), "invalid_request", "");
  }));
});

Deno.test("`encodeToken()` refuses a token that nobody could use", async () => {
  const bad: [Partial<JoinToken>, string][] = [
    [{ addresses: [] }, "1 to 64 addresses"],
    [{ addresses: ["attic"] }, "host:port"],
    [{ fingerprint: "abc" }, "64 hexadecimal digits"],
    [{ fingerprint: "x".repeat(64) }, "64 hexadecimal digits"],
  ];
  for (const [part, says] of bad) {
    await rejectsWith(() => encodeToken({ ...token, ...part }), "invalid_request", says);
  }
});

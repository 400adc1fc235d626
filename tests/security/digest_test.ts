import assert from "node:assert/strict";
import fc from "fast-check";
import { constantTimeEqual, sha256Hex } from "../../lib/security/digest.ts";

Deno.test("`sha256Hex()` gives the digest of FIPS 180-4's example, from text and from bytes", () => {
  const expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  assert.equal(sha256Hex("abc"), expected);
  assert.equal(sha256Hex(new TextEncoder().encode("abc")), expected);
});

Deno.test("`constantTimeEqual()` agrees with `===` on any two strings, also of different lengths", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => {
    assert.equal(constantTimeEqual(a, b), a === b);
    assert.equal(constantTimeEqual(a, a), true);
    assert.equal(constantTimeEqual(a, `${a}x`), false);
  }));
});

Deno.test("`constantTimeEqual()` takes a string and its UTF-8 for the same", () => {
  assert.equal(constantTimeEqual("é", new Uint8Array([0xc3, 0xa9])), true);
});

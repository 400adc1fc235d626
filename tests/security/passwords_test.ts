import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createSeededRandom, createSystemRandom } from "../../lib/random.ts";
import {
  generatePassword,
  generateSecret,
  hashPassword,
  isSecretHash,
  requirePassword,
  secretCost,
  verifyPassword,
} from "../../lib/security/passwords.ts";
import { rejectsWith } from "./rejects_with.ts";

const random = createSystemRandom();

Deno.test("a person's password is hashed with N=2^15, r=8, p=1 and verified", async () => {
  const stored = await hashPassword("correct horse", { random });
  assert.match(stored, /^scrypt\$32768\$8\$1\$[\w-]{22}\$[\w-]{43}$/);
  assert.equal(await verifyPassword("correct horse", stored), true);
  assert.equal(await verifyPassword("correct horsf", stored), false);
  assert.equal(isSecretHash(stored), false);
});

Deno.test("a stored hash is the scrypt of RFC 7914's own example", async () => {
  // Section 12: P = "password", S = "NaCl", N = 1024, r = 8, p = 16; here the first 32 of its 64 bytes, as
  // PBKDF2's first block doesn't depend on how much is asked for.
  const hash = Buffer.from("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162", "hex");
  const salt = Buffer.from("NaCl").toString("base64url");
  assert.equal(
    await verifyPassword("password", `scrypt$1024$8$16$${salt}$${hash.toString("base64url")}`),
    true,
  );
});

Deno.test("two hashes of one password differ, and each verifies", async () => {
  const [a, b] = await Promise.all([1, 2].map(() => hashPassword("same", { random, cost: secretCost })));
  assert.notEqual(a, b);
  assert.equal(await verifyPassword("same", a) && await verifyPassword("same", b), true);
  assert.equal(isSecretHash(a), true);
});

Deno.test("a password is the same whichever way its accents were typed", async () => {
  const stored = await hashPassword("caf\u00e9-password", { random, cost: secretCost });
  assert.equal(await verifyPassword("cafe\u0301-password", stored), true);
});

Deno.test("no password fits a text that is no hash, or one that would take minutes", async () => {
  const good = await hashPassword("x", { random, cost: secretCost });
  const [, , , , salt, hash] = good.split("$");
  const bad = [
    "",
    "x",
    "!",
    "scrypt$16$8$1",
    `scrypt$15$8$1$${salt}$${hash}`,
    `scrypt$16$0$1$${salt}$${hash}`,
  ];
  bad.push(
    `scrypt$67108864$8$1$${salt}$${hash}`,
    `scrypt$16$8$99$${salt}$${hash}`,
    `${good}x`,
    `bcrypt${good.slice(6)}`,
  );
  for (const stored of bad) {
    assert.equal(await verifyPassword("x", stored), false, stored);
    assert.equal(await verifyPassword("", stored), false, stored);
  }
  assert.equal(await verifyPassword("x".repeat(1_000_000), good), false);
});

Deno.test("`requirePassword()` says how long a password must be and how long this one is", async () => {
  requirePassword("12345678");
  requirePassword("é".repeat(128));
  await rejectsWith(() => requirePassword("1234567"), "invalid_request", "8 to 256 bytes, this one has 7");
  await rejectsWith(() => requirePassword("é".repeat(129)), "invalid_request", "this one has 258");
});

Deno.test("`generatePassword()` is readable: five groups of four, no letters that look like digits", () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 200; seed++) {
    const password = generatePassword(createSeededRandom(seed));
    assert.match(password, /^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){4}$/);
    requirePassword(password);
    seen.add(password);
  }
  assert.equal(seen.size, 200);
});

Deno.test("`generateSecret()` is 32 bytes as base64url, another every time", () => {
  assert.equal(Buffer.from(generateSecret(random), "base64url").length, 32);
  assert.notEqual(generateSecret(random), generateSecret(random));
});

/**
 * Passwords: made, checked against the rules, hashed with scrypt (RFC 7914) and verified.
 * A stored hash carries its own parameters (`scrypt$N$r$p$salt$hash`), so that they can be raised later.
 * Two costs: people choose weak passwords and get an expensive hash; a generated secret has 256 bits of its
 * own, which no guessing exhausts, and gets a cheap one, so that a thousand agents can return at once.
 */
import { Buffer } from "node:buffer";
import { scrypt, timingSafeEqual } from "node:crypto";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Random } from "../random.ts";

/** scrypt's N (a power of two), r and p. It takes about 128 · N · r bytes of memory. */
export interface ScryptCost {
  N: number;
  r: number;
  p: number;
}

/** For passwords that people choose: 32 MiB, about 0.1 s on a server, half a second on a Pi. */
export const personCost: ScryptCost = { N: 2 ** 15, r: 8, p: 1 };
/** For `generateSecret()` only: 16 KiB, well under 1 ms. */
export const secretCost: ScryptCost = { N: 16, r: 8, p: 1 };

const saltBytes = 16;
const hashBytes = 32;
// A stored hash from a damaged or manipulated database must not stop the manager for minutes.
const storedMemoryBytesMax = 256 * 1024 * 1024;

/** Hashes with a new salt. Doesn't apply the rules: call `requirePassword()` where a person chooses. */
export async function hashPassword(
  password: string,
  { random, cost = personCost }: { random: Random; cost?: ScryptCost },
): Promise<string> {
  const salt = random.secret(saltBytes);
  const hash = await derive(password, salt, cost);
  return ["scrypt", cost.N, cost.r, cost.p, base64url(salt), base64url(hash)].join("$");
}

/** True when `password` is the one that `stored` was made of. A `stored` that is no hash fits no password. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const parts = parseStored(stored);
  if (!parts || Buffer.byteLength(password) > limits.passwordBytesMax) return false;
  return timingSafeEqual(await derive(password, parts.salt, parts.cost), parts.hash);
}

/** True when `stored` has the cheap cost, which only generated secrets get. */
export function isSecretHash(stored: string): boolean {
  const parts = parseStored(stored);
  return parts !== undefined && parts.cost.N <= secretCost.N;
}

/** Throws `invalid_request` unless the password's UTF-8 is within the limits. */
export function requirePassword(password: string): void {
  const length = Buffer.byteLength(password);
  const { passwordBytesMin, passwordBytesMax } = limits;
  if (length >= passwordBytesMin && length <= passwordBytesMax) return;
  throw new SqwishError(
    "invalid_request",
    `A password must have ${passwordBytesMin} to ${passwordBytesMax} bytes, this one has ${length}`,
  );
}

// Crockford's base 32 in lower case: no i, l, o, u, so that nobody mistakes one character for another.
const readable = "0123456789abcdefghjkmnpqrstvwxyz";

/** A password to be typed by people: 20 characters of 32 in groups of four, 100 bits. */
export function generatePassword(random: Random): string {
  // 32 divides 256: the remainder has no bias.
  const characters = Array.from(random.secret(20), (byte) => readable[byte % readable.length]);
  return characters.join("").replace(/(.{4})(?=.)/g, "$1-");
}

/** A secret that only programs see: 32 random bytes as 43 characters of base64url. */
export function generateSecret(random: Random): string {
  return base64url(random.secret(32));
}

function parseStored(stored: string): { cost: ScryptCost; salt: Uint8Array; hash: Uint8Array } | undefined {
  const match = /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([\w-]+)\$([\w-]+)$/.exec(stored);
  if (!match) return undefined;
  const [N, r, p] = match.slice(1, 4).map(Number);
  const hash = Buffer.from(match[5], "base64url");
  const isPowerOfTwo = N > 1 && (N & (N - 1)) === 0;
  if (!isPowerOfTwo || r < 1 || p < 1 || p > 16 || hash.length !== hashBytes) return undefined;
  if (128 * N * r > storedMemoryBytesMax) return undefined;
  return { cost: { N, r, p }, salt: Buffer.from(match[4], "base64url"), hash };
}

function derive(password: string, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> {
  // The same letters typed on two keyboards may differ in their bytes; NFC makes them one (RFC 8265, section
  // 4.2).
  const normal = password.normalize("NFC");
  // The default `maxmem` of 32 MiB is just too small for N = 2^15, r = 8.
  const maxmem = 128 * cost.r * (cost.N + cost.p) + 1024 * 1024;
  return new Promise((resolve, reject) => {
    scrypt(
      normal,
      salt,
      hashBytes,
      { ...cost, maxmem },
      (error, key) => error ? reject(error) : resolve(key),
    );
  });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}

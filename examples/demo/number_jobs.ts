/** Work for the replicaSet `maths`, checked by other means: another primality test, and plain iteration. */
import assert from "node:assert/strict";
import { colourOf, iterationsMax } from "../maths/palette.ts";
import type { Job } from "./job.ts";

const tileSize = 192;

/** Numbers that are hard in different ways, then many ordinary ones of 19 to 21 digits. */
export function factorJobs(count: number): Job[] {
  const hard = [
    "600851475143",
    "18446744073709551615",
    "1000000016000000063",
    "999999999999999989",
    String(999_999_000_001n * 999_999_999_989n),
  ];
  const ordinary = Array.from(
    { length: Math.max(0, count - hard.length) },
    (_, index) => String(1_234_567_890_123_456_789n * BigInt(index + 1) + 7n),
  );
  return [...hard, ...ordinary].slice(0, count).map((n) => ({
    endpoint: "maths/factors",
    input: { n },
    check: (reply) => checkFactors(n, reply),
  }));
}

/** Every tile from zoom 0 to `zoomMax`. */
export function tileJobs(zoomMax: number): Job[] {
  const jobs: Job[] = [];
  for (let zoom = 0; zoom <= zoomMax; zoom++) {
    for (let place = 0; place < 4 ** zoom; place++) {
      const at = { zoom, x: place % 2 ** zoom, y: Math.floor(place / 2 ** zoom) };
      jobs.push({
        endpoint: "maths/tile",
        input: { ...at, size: tileSize },
        check: (reply) => checkTile(at, reply),
      });
    }
  }
  return jobs;
}

/** Throws unless the factors are primes in order that multiply back to `n`. */
export function checkFactors(n: string, reply: unknown): void {
  const told = reply as { n: string; factors: string[] };
  assert.equal(told.n, n);
  const factors = told.factors.map(BigInt);
  assert.equal(
    factors.reduce((product, factor) => product * factor, 1n),
    BigInt(n),
    "The factors must multiply back",
  );
  for (const [index, factor] of factors.entries()) {
    assert.ok(isProbablePrime(factor), `${factor} must be prime`);
    assert.ok(index === 0 || factors[index - 1] <= factor, "The factors must be in order");
  }
}

/** Throws unless the picture has the right size and the right colour at 64 places. */
export function checkTile(at: { zoom: number; x: number; y: number }, reply: unknown): void {
  assert.ok(reply instanceof Uint8Array, "A tile must be bytes");
  const header = `P6\n${tileSize} ${tileSize}\n255\n`;
  assert.equal(new TextDecoder().decode(reply.subarray(0, header.length)), header);
  assert.equal(reply.length, header.length + tileSize * tileSize * 3);
  const pixel = 4 / 2 ** at.zoom / tileSize;
  for (let place = 0; place < 64; place++) {
    const column = (place * 37) % tileSize;
    const row = (place * 101) % tileSize;
    const real = -2.5 + (at.x * tileSize + column + 0.5) * pixel;
    const imaginary = 2 - (at.y * tileSize + row + 0.5) * pixel;
    const from = header.length + (row * tileSize + column) * 3;
    assert.deepEqual([...reply.subarray(from, from + 3)], colourOf(stepsToEscape(real, imaginary)));
  }
}

function stepsToEscape(real: number, imaginary: number): number {
  let [zr, zi, steps] = [0, 0, 0];
  while (steps < iterationsMax && zr * zr + zi * zi <= 4) {
    [zr, zi] = [zr * zr - zi * zi + real, 2 * zr * zi + imaginary];
    steps++;
  }
  return steps;
}

/**
 * Solovay and Strassen ("A fast Monte-Carlo test for primality", 1977), not the test of the module: a composite passes
 * each base with a chance of at most a half. The runtime's own test is wrong beyond 64 bits in some versions.
 */
function isProbablePrime(n: bigint): boolean {
  if (n < 2n || (n !== 2n && n % 2n === 0n)) return n === 2n;
  for (let base = 2n; base < 66n && base < n; base++) {
    const symbol = jacobi(base, n);
    let power = 1n;
    let square = base;
    for (let left = (n - 1n) / 2n; left > 0n; left >>= 1n) {
      if (left & 1n) power = power * square % n;
      square = square * square % n;
    }
    if (symbol === 0 || power !== (symbol === 1 ? 1n : n - 1n)) return false;
  }
  return true;
}

/** The Jacobi symbol (a / n) for odd n: 1, -1 or 0. */
function jacobi(a: bigint, n: bigint): number {
  let sign = 1;
  for (a %= n; a !== 0n; a %= n) {
    for (; a % 2n === 0n; a /= 2n) if (n % 8n === 3n || n % 8n === 5n) sign = -sign;
    [a, n] = [n, a];
    if (a % 4n === 3n && n % 4n === 3n) sign = -sign;
  }
  return n === 1n ? sign : 0;
}

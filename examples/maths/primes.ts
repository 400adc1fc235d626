/**
 * The replicaSet `maths`, first half: prime factors. All work is done on the CPU, a number at a time, so this is
 * what shows how the cluster spreads load.
 */

const trialMax = 100_000;
const smallPrimes: number[] = [];

/** Fills the table of small primes (sieve of Eratosthenes) before this replica takes work. */
export function ready(): void {
  const composite = new Uint8Array(trialMax + 1);
  smallPrimes.length = 0;
  for (let n = 2; n <= trialMax; n++) {
    if (composite[n]) continue;
    smallPrimes.push(n);
    for (let multiple = n * n; multiple <= trialMax; multiple += n) composite[multiple] = 1;
  }
}

/** Finds the prime factors of a whole number from 2 to 10^24, smallest first. */
export function factors(input: { n: string | number }): { n: string; factors: string[] } {
  const n = BigInt(input.n);
  if (n < 2n || n > 10n ** 24n) throw new RangeError(`n must be from 2 to 10^24, is ${n}`);
  const found: bigint[] = [];
  let rest = n;
  for (const prime of smallPrimes) {
    const p = BigInt(prime);
    if (p * p > rest) break;
    while (rest % p === 0n) {
      found.push(p);
      rest /= p;
    }
  }
  if (rest > 1n) found.push(...split(rest));
  found.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return { n: String(n), factors: found.map(String) };
}

export const endpoints = {
  factors: {
    input: {
      type: "object",
      required: ["n"],
      additionalProperties: false,
      properties: {
        n: { oneOf: [{ type: "string", pattern: "^[0-9]{1,25}$" }, { type: "integer", minimum: 2 }] },
      },
    },
    timeoutMs: 30_000,
    idempotent: true,
  },
};

/** The prime factors of an odd number above 1, in any order. */
function split(n: bigint): bigint[] {
  if (isPrime(n)) return [n];
  const divisor = findDivisor(n);
  return [...split(divisor), ...split(n / divisor)];
}

/**
 * Miller–Rabin with the first thirteen primes as bases, which is exact below 3.3 × 10^24
 * (Sorenson and Webster, "Strong pseudoprimes to twelve prime bases", 2015).
 */
function isPrime(n: bigint): boolean {
  const bases = [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n, 41n];
  for (const base of bases) if (n % base === 0n) return n === base;
  let odd = n - 1n;
  let twos = 0;
  for (; odd % 2n === 0n; odd /= 2n) twos++;
  return bases.every((base) => {
    let power = powerModulo(base, odd, n);
    if (power === 1n || power === n - 1n) return true;
    for (let round = 1; round < twos; round++) {
      power = (power * power) % n;
      if (power === n - 1n) return true;
    }
    return false;
  });
}

/**
 * A divisor of a composite number: Pollard's rho (1975) with Brent's cycle finding (1980). Steps are multiplied
 * together and one greatest common divisor is taken for 128 of them, because it costs far more than a product.
 */
function findDivisor(n: bigint): bigint {
  for (let constant = 1n;; constant++) {
    const step = (value: bigint) => (value * value + constant) % n;
    let ahead = 2n;
    let divisor = 1n;
    let saved = ahead;
    let behind = ahead;
    for (let length = 1; divisor === 1n; length *= 2) {
      behind = ahead;
      for (let i = 0; i < length; i++) ahead = step(ahead);
      for (let done = 0; done < length && divisor === 1n; done += 128) {
        saved = ahead;
        let product = 1n;
        for (let i = 0; i < Math.min(128, length - done); i++) {
          ahead = step(ahead);
          product = (product * distance(behind, ahead)) % n;
        }
        divisor = commonDivisor(product, n);
      }
    }
    // The product swallowed every factor at once: walk the last stretch again, one step at a time.
    if (divisor === n) {
      do {
        saved = step(saved);
        divisor = commonDivisor(distance(behind, saved), n);
      } while (divisor === 1n);
    }
    if (divisor !== n) return divisor;
  }
}

function distance(a: bigint, b: bigint): bigint {
  return a > b ? a - b : b - a;
}

function commonDivisor(a: bigint, b: bigint): bigint {
  while (b > 0n) [a, b] = [b, a % b];
  return a;
}

function powerModulo(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let factor = base % modulus; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * factor) % modulus;
    factor = (factor * factor) % modulus;
  }
  return result;
}

/**
 * Slows down guessing: failures to sign in are counted by address, and too many of them lock it for a while.
 * Pure: `nowMs` is passed in, and must never jump (`Clock.monotonicMs()`).
 * Invariant: an address is locked for at most `loginLockMsMax`, and the table never outgrows its bound.
 */
import { isIPv4, isIPv6 } from "node:net";
import { limits } from "../limits.ts";

interface Entry {
  /** Times of the failures within the window. */
  failuresMs: number[];
  lockedUntilMs: number;
  /** Length of the latest lock; 0 before the first. The next one lasts twice as long. */
  lockMs: number;
}

export interface LockoutOptions {
  addressesMax?: number;
}

export class Lockout {
  readonly #addressesMax: number;
  // In order of the last failure, the oldest first.
  readonly #entries = new Map<string, Entry>();

  constructor(options: LockoutOptions = {}) {
    this.#addressesMax = options.addressesMax ?? 10_000;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** How long the address has to wait, ms; 0 when it may try. */
  check(address: string, nowMs: number): number {
    // Nearly always; reading an address takes longer than all the rest of a sign-in that is remembered.
    if (this.#entries.size === 0) return 0;
    const entry = this.#entries.get(lockoutKey(address));
    return entry ? Math.max(0, entry.lockedUntilMs - nowMs) : 0;
  }

  /**
   * Records a failure. The last one that is allowed within the window starts a lock, each twice as long as
   * the one before.
   */
  observeFailure(address: string, nowMs: number): void {
    const key = lockoutKey(address);
    const entry = this.#remembered(key, nowMs);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#evict();
    // Attempts that were already under way when the lock began don't prolong it.
    if (entry.lockedUntilMs > nowMs) return;
    entry.failuresMs = entry.failuresMs.filter((atMs) => nowMs - atMs < limits.loginWindowMs);
    entry.failuresMs.push(nowMs);
    if (entry.failuresMs.length < limits.loginFailuresMax) return;
    entry.failuresMs = [];
    entry.lockMs = Math.min(Math.max(limits.loginLockMs, entry.lockMs * 2), limits.loginLockMsMax);
    entry.lockedUntilMs = nowMs + entry.lockMs;
  }

  /** Forgets the address's failures and locks. */
  observeSuccess(address: string): void {
    this.#entries.delete(lockoutKey(address));
  }

  #remembered(key: string, nowMs: number): Entry {
    const entry = this.#entries.get(key);
    // An hour without a lock, and the next one is short again.
    const isQuiet = entry !== undefined && nowMs - entry.lockedUntilMs > limits.loginLockMsMax;
    if (entry && isQuiet) entry.lockMs = 0;
    return entry ?? { failuresMs: [], lockedUntilMs: 0, lockMs: 0 };
  }

  #evict(): void {
    if (this.#entries.size <= this.#addressesMax) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest);
  }
}

/**
 * What counts as one address: an IPv4 address, also when mapped into IPv6, and an IPv6 network of 64 bits,
 * because one machine has all of that to choose from (RFC 6177). A port is left out. What is no address
 * counts as it is.
 */
export function lockoutKey(address: string): string {
  const bare = address.replace(/^([\d.]+):\d+$/, "$1").replace(/^\[(.*)\](:\d+)?$/, "$1").replace(/%.*$/, "");
  const mapped = /^::ffff:([\d.]+)$/i.exec(bare);
  if (mapped && isIPv4(mapped[1])) return mapped[1];
  if (!isIPv6(bare)) return bare;
  const [head, tail] = new URL(`https://[${bare}]`).hostname.slice(1, -1).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail ? tail.split(":") : [];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/**
 * The randomness seam: `next` for choices and jitter (replayable in tests), `secret` for keys,
 * passwords and tokens (always the system's generator in production).
 */
import { randomBytes } from "node:crypto";

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** `length` unpredictable bytes. */
  secret(length: number): Uint8Array<ArrayBuffer>;
}

export function createSystemRandom(): Random {
  return {
    next: () => Math.random(),
    secret: (length) => new Uint8Array(randomBytes(length)),
  };
}

/** A seeded source for tests and simulation: mulberry32 (Tommy Ettinger, public domain). */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  }
  return {
    next,
    secret: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
  };
}

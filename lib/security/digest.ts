/**
 * Digests and comparisons. Synchronous on purpose: what runs in a simulation must not wait for WebCrypto,
 * whose answers arrive in another order on every run.
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** SHA-256 of bytes, or of a string's UTF-8, in lower-case hexadecimal (FIPS 180-4). */
export function sha256Hex(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/**
 * True when both are the same bytes (strings as UTF-8). The time taken tells nothing of where they differ,
 * nor of their lengths: digests of both are compared, which always have the same length.
 */
export function constantTimeEqual(a: Uint8Array | string, b: Uint8Array | string): boolean {
  return timingSafeEqual(
    createHash("sha256").update(a).digest(),
    createHash("sha256").update(b).digest(),
  );
}

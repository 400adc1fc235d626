/** What the store's tests share: a fresh folder, and specifications to deploy. */
import { createHash } from "node:crypto";
import type { RevisionSpecification } from "../../lib/protocol/revision.ts";

/** Runs `work` with a fresh folder that is removed afterwards. */
export async function withFolder<T>(work: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-store-" });
  try {
    return await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A specification of one module with the given source, and its file. */
export function specificationOf(
  name: string,
  source: string,
  change: Partial<RevisionSpecification> = {},
): { specification: RevisionSpecification; files: Map<string, Uint8Array>; sha256: string } {
  const bytes = new TextEncoder().encode(source);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const specification: RevisionSpecification = {
    name,
    version: "1.0.0",
    modules: [{
      path: "main.js",
      source: "modules/main.ts",
      sha256,
      sizeBytes: bytes.length,
      kind: "js",
      entry: true,
    }],
    replicas: 1,
    placement: {},
    permissions: {},
    env: {},
    memoryMb: 256,
    queueMax: 1000,
    timeoutMs: 30_000,
    idempotent: false,
    rollout: { maxUnavailable: 1, maxSurge: 1, minReadyMs: 2000, deadlineMs: 120_000 },
    ...change,
  };
  return { specification, files: new Map([[sha256, bytes]]), sha256 };
}

import assert from "node:assert/strict";
import { createSpecification, sameSpecification } from "../../lib/deployment/revision.ts";
import { parseReplicaSet } from "../../lib/deployment/specification.ts";
import type { ModuleFile } from "../../lib/protocol/messages.ts";

const module = (path: string, sha256 = "0".repeat(64)): ModuleFile => ({
  path,
  source: path,
  sha256,
  sizeBytes: 1,
  kind: "js",
  entry: true,
});

function specification(keys: Record<string, unknown> = {}, modules = [module("a.js"), module("b.js")]) {
  const parsed = parseReplicaSet({ name: "a", version: "1", ...keys });
  assert.ok(parsed.ok);
  return createSpecification(parsed.replicaSet, modules);
}

Deno.test("`sameSpecification()` looks past the order of keys and modules", () => {
  const left = specification({ env: { A: "1", B: "2" }, placement: { zone: "x", arch: "y" } });
  const right = specification({ placement: { arch: "y", zone: "x" }, env: { B: "2", A: "1" } }, [
    module("b.js"),
    module("a.js"),
  ]);
  assert.ok(sameSpecification(left, right));
  assert.ok(sameSpecification(left, JSON.parse(JSON.stringify(left))));
});

Deno.test("`sameSpecification()` sees every difference", () => {
  const base = specification();
  for (
    const other of [
      specification({ version: "2" }),
      specification({ replicas: 2 }),
      specification({ env: { A: "1" } }),
      specification({ concurrency: 1 }),
      specification({ queue: { max: 1 } }),
      specification({ rollout: { minReadyMs: 1 } }),
      specification({}, [module("a.js"), module("b.js", "1".repeat(64))]),
    ]
  ) assert.ok(!sameSpecification(base, other));
});

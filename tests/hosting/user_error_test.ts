import assert from "node:assert/strict";
import { createUserErrorReader } from "../../lib/hosting/user_error.ts";
import type { ModuleFile } from "../../lib/protocol/messages.ts";

const modules = [{ path: "resize.js", source: "modules/resize.ts" }, {
  path: "lib/my scale.js",
  source: "modules/lib/my scale.ts",
}].map((module): ModuleFile => ({ ...module, sha256: "", sizeBytes: 0, kind: "js", entry: true }));
const reader = createUserErrorReader("file:///data/run/replicas/set@1-ab/", modules);

function thrown(message: string, stack = ""): Error {
  const error = new Error(message);
  error.stack = `Error: ${message}\n${stack}`;
  return error;
}

Deno.test("frames of the user's files keep their lines under the user's names, all others go", () => {
  const { stack } = reader.read(thrown(
    "x",
    `    at scale (file:///data/run/replicas/set@1-ab/lib/my%20scale.js:3:9)
    at file:///data/run/replicas/set@1-ab/resize.js:10:2
    at Invocation.run (file:///opt/agent/lib/hosting/invocation.ts:70:1)
    at async ext:core/01_core.js:1:1`,
  ));
  assert.equal(stack, "at scale (modules/lib/my scale.ts:3:9)\nat modules/resize.ts:10:2");
});

Deno.test("paths of the agent's folder in a message become the user's names", () => {
  const { message } = reader.read(
    thrown(
      `Module not found "file:///data/run/replicas/set@1-ab/gone.js" from /data/run/replicas/set@1-ab/resize.js`,
    ),
  );
  assert.equal(message, `Module not found "gone.js" from modules/resize.ts`);
});

Deno.test("a refused permission says what to list, on every runtime's wording", () => {
  for (
    const [message, says] of [
      [
        `Requires net access to "a.org:443", run again with the --allow-net flag`,
        `net access to "a.org:443" is not allowed: list it as permissions.net: ["a.org:443"]`,
      ],
      [
        'Requires read access to "/etc/x", specify the required permissions during compilation using `deno compile --allow-read`',
        `read access to "/etc/x" is not allowed: list it as permissions.read: ["/etc/x"]`,
      ],
      [
        "Requires env access, run again with",
        "env access to everything is not allowed: list what is needed under permissions.env",
      ],
      [`Requires run access to "ls", run again with`, "run access is not allowed in a module"],
      ["Requires run access, run again with", "run access is not allowed in a module"],
      [
        `Relative import path "chalk" not prefixed with / or ./ or ../`,
        'import of "chalk" is not possible in a module: bundle it first with `deno bundle`',
      ],
      [
        "Could not find constraint 'chalk' in the list of packages.",
        'import of "chalk" is not possible in a module: bundle it first with `deno bundle`',
      ],
    ]
  ) {
    assert.equal(reader.read(thrown(message)).message, says);
  }
});

Deno.test("anything may be thrown, and what is long is cut", () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  assert.equal(reader.read("words").message, "threw words");
  assert.equal(reader.read({ a: 1 }).message, 'threw {"a":1}');
  assert.equal(reader.read(undefined).message, "threw undefined");
  assert.equal(reader.read(circular).message, "threw [object Object]");
  assert.ok(reader.read(thrown("x".repeat(100_000))).message.length < 5000);
  const caused = new Error("outer", { cause: new Error("inner") });
  assert.match(reader.read(caused).stack, /caused by: inner$/);
});

Deno.test("whatever is thrown is read without throwing", () => {
  const changed = (change: Record<string, unknown>) => Object.assign(thrown("x"), change);
  const throwing = Object.defineProperties(thrown("x"), {
    message: { get: () => JSON.parse("no") },
    stack: { get: () => JSON.parse("no") },
    cause: { get: () => JSON.parse("no") },
  });
  const cyclic: Error = changed({ cause: new Error("inner") });
  (cyclic.cause as Error).cause = cyclic;
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const noWords = "something that can't be put into words";
  for (
    const [what, says] of [
      [changed({ message: { code: 42 } }), '{"code":42}'],
      [changed({ message: 42n }), "42"],
      [changed({ message: Symbol("odd") }), "Symbol(odd)"],
      [changed({ message: null }), "Error"],
      [changed({ message: "", name: { toJSON: null } }), '{"toJSON":null}'],
      [changed({ stack: 5 }), "x"],
      [throwing, "Error"],
      [cyclic, "x"],
      [revoked.proxy, `threw ${noWords}`],
      [{ toJSON: () => JSON.parse("no"), toString: null }, `threw ${noWords}`],
      [thrown("file:///data/run/replicas/set@1-ab/50%.js is gone"), "50%.js is gone"],
    ] as [unknown, string][]
  ) {
    assert.equal(reader.read(what).message, says);
  }
  assert.equal(reader.read(cyclic).stack, "\ncaused by: inner");
  let deep = thrown("0");
  for (let depth = 1; depth < 100; depth++) deep = changed({ message: String(depth), cause: deep });
  assert.equal(reader.read(deep).stack.match(/caused by/g)?.length, 8);
});

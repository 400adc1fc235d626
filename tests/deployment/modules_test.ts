import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describeModuleError, modulesRefused } from "../../lib/deployment/module_errors.ts";
import { buildModules, type ModuleSource } from "../../lib/deployment/modules.ts";
import { limits } from "../../lib/limits.ts";

/** Sources by path; a path that starts with "lib/" is no entry. */
function sourcesOf(files: Record<string, string | Uint8Array>): ModuleSource[] {
  return Object.entries(files).map(([path, content]) => ({
    path,
    source: `modules/${path}`,
    bytes: typeof content === "string" ? new TextEncoder().encode(content) : content,
    entry: !path.startsWith("lib/"),
  }));
}

async function built(files: Record<string, string | Uint8Array>) {
  const result = await buildModules(sourcesOf(files));
  assert.ok(result.ok, result.ok ? "" : result.errors.map(describeModuleError).join("\n"));
  const text = (path: string) => {
    const file = result.modules.find((module) => module.path === path);
    assert.ok(file, `${path} among ${result.modules.map((module) => module.path)}`);
    return new TextDecoder().decode(result.blobs.get(file.sha256));
  };
  return { ...result, text };
}

async function refusal(files: Record<string, string | Uint8Array>): Promise<string[]> {
  const result = await buildModules(sourcesOf(files));
  assert.ok(!result.ok, "must be refused");
  return result.errors.map(describeModuleError);
}

Deno.test("`buildModules()` strips types in place and names files .js, in their imports too", async () => {
  const { modules, blobs, text } = await built({
    "resize.ts":
      `import { half } from "./lib/half.mts";\nexport function resize(n: number): number {\n  return half(n as number);\n}\n`,
    "lib/half.mts": `export const half = (n: number): number => n / 2;\n`,
  });
  assert.deepEqual(modules.map(({ path, source, kind, entry }) => [path, source, kind, entry]), [
    ["resize.js", "modules/resize.ts", "js", true],
    ["lib/half.mjs", "modules/lib/half.mts", "js", false],
  ]);
  const code = text("resize.js");
  assert.match(code, /from ".\/lib\/half\.mjs";\n/);
  assert.equal(code.split("\n")[2].indexOf("half(n"), 9);
  for (const { sha256, sizeBytes } of modules) {
    const bytes = blobs.get(sha256)!;
    assert.equal(createHash("sha256").update(bytes).digest("hex"), sha256);
    assert.equal(bytes.length, sizeBytes);
  }
});

Deno.test("`buildModules()` makes modules that run, with enums, and throw with the user's own line numbers", async () => {
  const result = await built({
    "entry.ts":
      `import { T, twice } from "./lib/twice.ts";\n\nenum Size {\n  small = 1,\n  large,\n}\n\nclass Box {\n  constructor(readonly size: Size) {}\n}\n\nexport function run(x: T) {\n  return twice(x) + new Box(Size.large).size;\n}\n\nexport function fail() {\n  throw new Error("no");\n}\n`,
    "lib/twice.ts": `export type T = number;\nexport function twice(x: T): T { return x * 2; }\n`,
  });
  const folder = await mkdtemp(join(tmpdir(), "modules-"));
  try {
    for (const { path } of result.modules) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), result.text(path));
    }
    const module = await import(pathToFileURL(join(folder, "entry.js")).href);
    assert.equal(module.run(20), 42);
    const thrown: unknown = (() => {
      try {
        module.fail();
      } catch (error) {
        return error;
      }
    })();
    assert.match((thrown as Error).stack!, /entry\.js:17:9/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

Deno.test("`buildModules()` drops imports that only types used, as TypeScript does", async () => {
  const { text } = await built({
    "a.ts":
      `import { Context } from "sqwish";\nimport type { Other } from "npm:other";\nimport D, { A, b, C } from "./lib/b.ts";\nexport function f(x: A, y: C, c: Context, o: Other) { return b(x) + D; }\n`,
    "lib/b.ts":
      `export type A = number; export interface C {}\nexport const b = (x: A) => x;\nexport default 1;\n`,
  });
  const lines = text("a.js").split("\n");
  assert.equal(lines[0].trim(), "");
  assert.equal(lines[1].trim(), "");
  assert.match(lines[2], /import D, \{\s+b,\s+\} from "\.\/lib\/b\.js";/);
});

Deno.test("`buildModules()` takes the first sentence of each endpoint's docstring", async () => {
  const { modules } = await built({
    "a.ts":
      `/** Makes a picture smaller. Keeps its shape. */\nexport async function resize() {}\n\n/**\n * Counts down,\n * e.g. from 3.\n *\n * More of it.\n * @param x nothing\n */\nexport async function* count() {}\n\n/** Not exported. */\nfunction hidden() {}\n/** @deprecated */\nexport const old = () => hidden();\n`,
  });
  assert.deepEqual(modules[0].docs, {
    resize: "Makes a picture smaller.",
    count: "Counts down, e.g. from 3.",
  });
});

Deno.test("`buildModules()` accepts plain JavaScript as it is, dynamic imports and TypeScript behind .js names", async () => {
  const source =
    `import "./lib/effect.js";\nexport { a as b } from './lib/a.js';\nexport const later = async () => (await import("./lib/a.js")).a();\n`;
  const { text } = await built({
    "x.js": source,
    "lib/a.ts": "export const a = (): number => 1;",
    "lib/effect.js": "globalThis.effect = true;",
  });
  assert.equal(text("x.js"), source);
});

Deno.test("`buildModules()` lists a plug-in's own functions", async () => {
  const result = await built({ "count.wasm": wasmWith(["count", "_start", "memory", "malloc"]) });
  assert.deepEqual(result.modules.map(({ path, kind, entry }) => [path, kind, entry]), [[
    "count.wasm",
    "wasm",
    true,
  ]]);
  assert.match((await refusal({ "a.wasm": wasmWith(["_start"]) }))[0], /a\.wasm: exports no functions/);
  assert.match(
    (await refusal({ "a.wasm": wasmWith(["x"]).slice(0, -2) }))[0],
    /a\.wasm: is damaged WebAssembly/,
  );
  assert.match((await refusal({ "a.wasm": "hello" }))[0], /a\.wasm: is not WebAssembly/);
});

Deno.test("`buildModules()` lets several modules have `ready`, `stop` and `endpoints`, and equal constants", async () => {
  const shared =
    `export const version = "1";\nexport const endpoints = {};\nexport function ready() {}\nexport function stop() {}\n`;
  const { modules } = await built({
    "a.js": `${shared}export function a() {}`,
    "b.js": `${shared}export function b() {}`,
  });
  assert.equal(modules.length, 2);
});

Deno.test("`buildModules()` follows `export *` when it looks for names", async () => {
  const files = {
    "a.js": `export * from "./lib/deep.js";`,
    "lib/deep.js": `export * from "./deeper.js"; export default 1;`,
    "lib/deeper.js": `export * from "./deep.js"; export function deep() {}`,
  };
  assert.equal((await built(files)).modules.length, 3);
  const errors = await refusal({ ...files, "b.js": "export const deep = () => 1;" });
  assert.deepEqual(errors, [
    "modules/b.js: exports `deep`, and so does modules/a.js; every endpoint needs one module, rename one",
  ]);
});

const refusals: [name: string, files: Record<string, string | Uint8Array>, expected: RegExp][] = [
  [
    "TypeScript that does not parse",
    { "a.ts": "export function f( {\n  let x = ;" },
    /^modules\/a\.ts:2:7: does not parse: /,
  ],
  [
    "JavaScript that does not parse",
    { "a.js": "export const a = 1;\nconst b = (;" },
    /^modules\/a\.js:2:12: does not parse: /,
  ],
  [
    "decorators",
    { "a.ts": "export const a = () => 1;\n@dec class B {}" },
    /^modules\/a\.ts:2:1: does not parse: /,
  ],
  ["JSX", { "a.ts": "export const a = () => <div/>;" }, /does not parse/],
  ["text that is not UTF-8", { "a.js": Uint8Array.of(0xff, 0xfe) }, /is not text in UTF-8/],
  [
    "an import of nothing",
    {
      "a.ts": `\nimport { b } from "./lib/bb.ts";\nexport const a = () => b;`,
      "lib/b.ts": "export const b = 1;",
    },
    /^modules\/a\.ts:2:19: imports \.\/lib\/bb\.ts, which is not among the modules, did you mean `lib\/b\.ts`\?$/,
  ],
  [
    "an import out of the folder",
    { "a.js": `import "../../../etc/x.js"; export const a = () => 1;` },
    /which is not among the modules/,
  ],
  [
    "an import of an npm package",
    { "a.ts": `import x from "npm:lodash";\nexport const a = () => x;` },
    /^modules\/a\.ts:1:15: imports "npm:lodash", .* bundle it first: deno bundle modules\/a\.ts -o modules\/a\.bundle\.js$/,
  ],
  [
    "an import by address",
    { "a.js": `import x from "https://x.y/z.js"; export const a = () => x;` },
    /deno bundle/,
  ],
  [
    "a bare import",
    { "a.js": `export const a = () => import("lodash");` },
    /imports "lodash", .*deno bundle/,
  ],
  [
    "a built-in without its prefix",
    { "a.js": `import "fs"; export const a = () => 1;` },
    /written "node:fs"/,
  ],
  ["an absolute import", { "a.js": `import "/x.js"; export const a = () => 1;` }, /relative paths/],
  [
    "a value from sqwish",
    { "a.js": `import { Context } from "sqwish"; export const a = () => Context;` },
    /only types/,
  ],
  [
    "JSON by import",
    { "a.js": `import d from "./d.json" with { type: "json" }; export const a = () => d;` },
    /only \.ts/,
  ],
  [
    "a name that isn't exported",
    {
      "a.ts": `import { hafl } from "./lib/b.ts";\nexport const a = () => hafl;`,
      "lib/b.ts": "export const half = 1;",
    },
    /imports `hafl` from \.\/lib\/b\.ts, which exports no such value, did you mean `half`\?$/,
  ],
  [
    "a type exported on as a value",
    {
      "a.ts": `export { T } from "./lib/b.ts"; export const a = () => 1;`,
      "lib/b.ts": "export type T = 1; export const b = 1",
    },
    /imports `T` .*import type/,
  ],
  [
    "an import in a file with enums",
    { "a.ts": `enum E { a }\n\n\nimport { b } from './nothing.ts';\nexport const a = () => b + E.a;` },
    /^modules\/a\.ts:4:19: imports/,
  ],
  [
    "an entry without exports",
    { "a.js": "const x = 1;", "b.js": "export const b = () => 1;" },
    /^modules\/a\.js: exports nothing/,
  ],
  [
    "a set without functions",
    { "a.js": "export const x = 1; export class Y {}" },
    /no exported function in any entry/,
  ],
  ["a set without entries", { "lib/a.js": "export const x = () => 1;" }, /no file is an entry/],
  ["no files", {}, /no file is an entry/],
  [
    "one endpoint in two modules",
    { "a.js": "export function f() {}", "b.ts": "export const f = (): void => {};" },
    /^modules\/b\.ts: exports `f`, and so does modules\/a\.js/,
  ],
  [
    "a function whose name is too long for an agent to tell",
    {
      "a.ts": `export const a = () => 1; export function ${
        "f".repeat(limits.endpointNameCharactersMax + 1)
      }() {}`,
    },
    /^modules\/a\.ts: a function's name has at most 128 characters, f{40}… has 129$/,
  ],
  [
    "a plug-in's function whose name is too long",
    { "a.wasm": wasmWith(["count", "f".repeat(limits.endpointNameCharactersMax + 12)]) },
    /^modules\/a\.wasm: a function's name has at most 128 characters, f{40}… has 140$/,
  ],
  [
    "two files that become one",
    { "a.js": "export const a = () => 1;", "a.ts": "export const b = () => 1;" },
    /becomes a\.js/,
  ],
  ["a path that climbs", { "../a.js": "export const a = () => 1;" }, /must be relative, without "\.\."/],
  ["an absolute path", { "/a.js": "export const a = () => 1;" }, /must be relative/],
  ["a type declaration", { "a.d.ts": "export const a: 1;" }, /is not a module/],
  ["another language", { "a.tsx": "export const a = () => 1;" }, /is not a module/],
  [
    "a file too large",
    { "a.js": new Uint8Array(limits.moduleBytesMax + 1) },
    /takes at most 8388608 bytes, this one has/,
  ],
];
for (const [name, files, expected] of refusals) {
  Deno.test(`\`buildModules()\` refuses ${name}`, async () => {
    const errors = await refusal(files);
    assert.equal(errors.length, 1, errors.join("\n"));
    assert.match(errors[0], expected);
  });
}

Deno.test("`buildModules()` refuses too many files and a set that is too large", async () => {
  const many = Object.fromEntries(
    Array.from({ length: limits.modulesPerSetMax + 1 }, (_, n) => [`a${n}.js`, ""]),
  );
  assert.match((await refusal(many))[0], /at most 500 files, this one has 501/);
  const large = new Uint8Array(limits.moduleBytesMax);
  const heavy = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`a${n}.js`, large]));
  assert.match((await refusal(heavy))[0], /take at most 67108864 bytes/);
});

Deno.test("`buildModules()` tells every error at once", async () => {
  const errors = await refusal({
    "a.ts": "export const = 1;",
    "b.ts": `import x from "npm:x"; export const b = () => x;`,
    "c.wasm": "no",
    "d.js": `import { z } from "./a.ts"; export const b = () => z;`,
  });
  assert.deepEqual(errors.map((error) => error.split(":")[0]), [
    "modules/a.ts",
    "modules/c.wasm",
    "modules/b.ts",
    "modules/d.js",
  ]);
  const refused = modulesRefused("images", [{ file: "a.ts", line: 1, column: 2, message: "is odd" }, {
    file: "b.ts",
    message: "is even",
  }]);
  assert.equal(refused.message, "The modules of images are refused: a.ts:1:2: is odd (and 1 more)");
  assert.deepEqual(refused.details.errors, ["a.ts:1:2: is odd", "b.ts: is even"]);
});

/** A WebAssembly file with functions of type () → () under the given names. */
function wasmWith(names: string[]): Uint8Array {
  // Numbers of up to 14 bits as WebAssembly has them (LEB128).
  const number = (value: number) => value < 128 ? [value] : [value & 127 | 128, value >> 7];
  const exports = names.flatMap((name) => [...number(name.length), ...new TextEncoder().encode(name), 0, 0]);
  const exportBytes = number(exports.length + 1);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // header
    ...[1, 4, 1, 0x60, 0, 0], // one type
    ...[3, 2, 1, 0], // one function
    ...[7, ...exportBytes, names.length, ...exports],
    ...[10, 4, 1, 2, 0, 0x0b], // its empty body
  ]);
}

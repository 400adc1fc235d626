import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { collectModules } from "../../lib/deployment/collect.ts";
import { buildModules } from "../../lib/deployment/modules.ts";
import { limits } from "../../lib/limits.ts";

async function withFolder(
  files: Record<string, string>,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "collect-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** `path` for libraries, `path!` for entries. */
async function collected(baseFolder: string, paths: string[]): Promise<string[]> {
  const result = await collectModules(paths, { baseFolder });
  assert.ok(result.ok, JSON.stringify(result));
  return result.modules.map(({ path, entry }) => entry ? `${path}!` : path);
}

const f = (name: string, imports = "") => `${imports}\nexport function ${name}() {}\n`;

Deno.test("`collectModules()` takes a named file as an entry and what it imports as libraries", () =>
  withFolder({
    "modules/resize.ts": f("resize", `import "./lib/scale.ts"; import type { X } from "./types.ts";`),
    "modules/lib/scale.ts": f("scale", `import "../shared.js";`),
    "modules/shared.ts": f("shared"),
    "modules/types.ts": "export type X = 1;",
    "modules/unrelated.ts": f("unrelated"),
  }, async (folder) => {
    assert.deepEqual(await collected(folder, ["./modules/resize.ts"]), [
      "lib/scale.ts",
      "resize.ts!",
      "shared.ts",
    ]);
    const result = await collectModules(["modules/resize.ts"], { baseFolder: folder });
    assert.ok(result.ok);
    assert.equal(result.modules[1].source, "modules/resize.ts");
    assert.ok((await buildModules(result.modules)).ok);
  }));

Deno.test("`collectModules()` takes from a folder the files that no other imports as entries", () =>
  withFolder({
    "m/a.ts": f("a", `import { b } from "./lib/b.ts"; b();`),
    "m/lib/b.ts": f("b"),
    "m/lib/c.js": f("c"),
    "m/types.ts": "export interface T {}",
    "m/a_test.ts": f("test"),
    "m/a.d.ts": "export {};",
    "m/.hidden.ts": f("hidden"),
    "m/node_modules/x.js": f("x"),
    "m/notes.md": "# notes",
  }, async (folder) => {
    assert.deepEqual(await collected(folder, ["m"]), ["a.ts!", "lib/b.ts", "lib/c.js!"]);
  }));

Deno.test("`collectModules()` makes a file that is named and in a folder an entry, once", () =>
  withFolder({ "m/a.ts": f("a", `import { b } from "./b.ts"; b();`), "m/b.ts": f("b") }, async (folder) => {
    assert.deepEqual(await collected(folder, ["m/", "m/b.ts", "./m/b.ts"]), ["a.ts!", "b.ts!"]);
  }));

Deno.test("`collectModules()` lays files of several folders out under their common folder", () =>
  withFolder({
    "x/one/a.js": f("a"),
    "x/two/b.js": f("b", `import "../../three/c.js";`),
    "three/c.js": f("c"),
  }, async (folder) => {
    assert.deepEqual(await collected(folder, ["x/one/a.js", "x/two/"]), [
      "three/c.js",
      "x/one/a.js!",
      "x/two/b.js!",
    ]);
    assert.deepEqual(await collected(join(folder, "x/one"), ["a.js"]), ["a.js!"]);
    const outside = await collectModules(["../two/b.js"], { baseFolder: join(folder, "x/one") });
    assert.ok(outside.ok);
    assert.deepEqual(outside.modules.map(({ source }) => source), ["../../three/c.js", "../two/b.js"]);
  }));

Deno.test("`collectModules()` names what does not exist, with what is near, all at once", () =>
  withFolder({ "m/resize.ts": f("resize"), "m/readme.txt": "x" }, async (folder) => {
    const result = await collectModules(["m/risize.ts", "m/readme.txt", "nothing/"], { baseFolder: folder });
    assert.deepEqual(result, {
      ok: false,
      errors: [
        { file: "m/risize.ts", message: "does not exist, did you mean `resize.ts`?" },
        { file: "m/readme.txt", message: "is not a module: only .ts, .mts, .js, .mjs and .wasm files are" },
        { file: "nothing", message: "does not exist" },
      ],
    });
  }));

Deno.test("`collectModules()` refuses a folder with nothing in it, and leaves broken files to `buildModules()`", () =>
  withFolder({ "empty/readme.md": "", "broken/a.ts": "export const = 1" }, async (folder) => {
    const empty = await collectModules(["empty"], { baseFolder: folder });
    assert.ok(!empty.ok);
    assert.match(empty.errors[0].message, /no file that exports anything was found/);
    assert.deepEqual(await collected(folder, ["broken"]), ["a.ts!"]);
  }));

Deno.test("`collectModules()` does not go round in circles", () =>
  withFolder(
    { "m/a.js": f("a", `import "./b.js";`), "m/b.js": f("b", `import "./a.js";`) },
    async (folder) => {
      await symlink(folder, join(folder, "m/loop"));
      assert.deepEqual(await collected(folder, ["m/a.js"]), ["a.js!", "b.js"]);
      assert.deepEqual(await collected(folder, ["m"]), ["a.js", "b.js"]);
    },
  ));

Deno.test("`collectModules()` refuses files over the limit without reading them", () =>
  withFolder({ "a.js": " ".repeat(limits.moduleBytesMax + 1) }, async (folder) => {
    const result = await collectModules(["a.js"], { baseFolder: folder });
    assert.ok(!result.ok);
    assert.match(result.errors[0].message, /takes at most 8388608 bytes, this one has 8388609/);
  }));

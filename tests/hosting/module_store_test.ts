import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { checkPath, openModuleStore } from "../../lib/hosting/module_store.ts";
import { createSeededRandom } from "../../lib/random.ts";
import { specificationOf } from "../support/hosted.ts";

async function withStore(
  use: (
    store: Awaited<ReturnType<typeof openModuleStore>>,
    folder: string,
    fetches: string[],
  ) => Promise<void>,
  blobs: Map<string, Uint8Array>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "sqwish-modules-" });
  const fetches: string[] = [];
  try {
    const store = await openModuleStore({
      cacheFolder: join(folder, "modules"),
      replicasFolder: join(folder, "replicas"),
      random: createSeededRandom(1),
      fetchModule: (sha256) => {
        fetches.push(sha256);
        return Promise.resolve(blobs.get(sha256) ?? new Uint8Array());
      },
    });
    await use(store, folder, fetches);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const { specification, blobs } = specificationOf({
  "a.js": "export const a = 1;",
  "lib/b.js": "export const b = 2;",
});

Deno.test("files are laid out by path, fetched once, and used from the cache afterwards", async () => {
  await withStore(async (store, _folder, fetches) => {
    const first = await store.layOut(specification);
    const second = await store.layOut(specification);
    assert.notEqual(first, second);
    assert.equal(fetches.length, 2);
    for (const laidOut of [first, second]) {
      assert.equal(await Deno.readTextFile(join(laidOut, "lib/b.js")), "export const b = 2;");
    }
    await store.remove(first);
    await assert.rejects(Deno.stat(first), Deno.errors.NotFound);
  }, blobs);
});

Deno.test("a damaged cache file is fetched again", async () => {
  await withStore(async (store, folder, fetches) => {
    await store.layOut(specification);
    await Deno.writeTextFile(
      join(folder, "modules", specification.modules[0].sha256),
      "export const a = 666;",
    );
    const again = await store.layOut(specification);
    assert.equal(await Deno.readTextFile(join(again, "a.js")), "export const a = 1;");
    assert.equal(fetches.length, 3);
  }, blobs);
});

Deno.test("bytes that don't have the SHA-256 they were asked by are refused and not kept", async () => {
  const wrong = new Map([...blobs.keys()].map((sha256) => [sha256, new Uint8Array([1, 2, 3])]));
  await withStore(async (store, folder) => {
    const got = createHash("sha256").update(new Uint8Array([1, 2, 3])).digest("hex");
    await assert.rejects(
      store.layOut(specification),
      (error: Error) => error.message.includes(`what arrived has ${got}`),
    );
    assert.deepEqual([...Deno.readDirSync(join(folder, "modules"))], []);
    assert.deepEqual([...Deno.readDirSync(join(folder, "replicas"))], []);
  }, wrong);
});

Deno.test("`prune()` keeps what is named and removes the rest, also what a crash left half written", async () => {
  await withStore(async (store, folder) => {
    await store.layOut(specification);
    await Deno.writeTextFile(join(folder, "modules", `${"0".repeat(64)}.12ab.partial`), "half");
    await store.prune([{ ...specification, modules: [specification.modules[1]] }]);
    const left = [...Deno.readDirSync(join(folder, "modules"))].map((entry) => entry.name);
    assert.deepEqual(left, [specification.modules[1].sha256]);
  }, blobs);
});

Deno.test("paths that lead out of the folder are refused", async () => {
  for (const path of ["../a.js", "/etc/x", "a/../../b", "a//b", "./a", "", "a\\b", "a\0b"]) {
    assert.throws(() => checkPath(path), /A module's path must be relative/);
  }
  checkPath("lib/deep/a.js");
  const [module] = specification.modules;
  await withStore(async (store) => {
    await assert.rejects(store.layOut({ ...specification, modules: [{ ...module, path: "../../out.js" }] }));
  }, blobs);
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { profilePath, readProfile, writeProfile } from "../../lib/client/profile.ts";

const profile = {
  cluster: "attic",
  addresses: ["a:1"],
  caPem: "PEM",
  user: "ada",
  password: "hunter2 hunter2",
};

async function inFolder(action: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await action(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("`profilePath()` follows SQWISH_PROFILE, XDG_CONFIG_HOME and HOME in that order", () => {
  const values: Record<string, string> = {
    SQWISH_PROFILE: "/p.json",
    XDG_CONFIG_HOME: "/x",
    HOME: "/home/ada",
  };
  const path = () => profilePath((name) => values[name]);
  assert.equal(path(), "/p.json");
  delete values.SQWISH_PROFILE;
  assert.equal(path(), "/x/sqwish/profile.json");
  delete values.XDG_CONFIG_HOME;
  assert.equal(path(), "/home/ada/.config/sqwish/profile.json");
});

Deno.test("a profile comes back as it was written, readable by its owner only, with nothing left beside it", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "deep", "er", "profile.json");
    assert.equal(await readProfile(path), undefined);
    await writeProfile(path, profile);
    await writeProfile(path, { ...profile, user: "bob" });
    assert.deepEqual(await readProfile(path), { ...profile, user: "bob" });
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(join(folder, "deep", "er"))).mode! & 0o777, 0o700);
    const names = [...Deno.readDirSync(join(folder, "deep", "er"))].map((entry) => entry.name);
    assert.deepEqual(names, ["profile.json"]);
  });
});

Deno.test("a damaged profile is named without its secrets", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "profile.json");
    for (
      const text of [JSON.stringify(profile).slice(0, -3), JSON.stringify({ ...profile, addresses: [] })]
    ) {
      await Deno.writeTextFile(path, text);
      await assert.rejects(readProfile(path), (thrown: Error) => {
        assert.match(thrown.message, /^The profile .*profile\.json is damaged/);
        assert.ok(!Deno.inspect(thrown).includes("hunter2"));
        return true;
      });
    }
  });
});

Deno.test("a profile that can't be written or read is a clear error", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(join(folder, "file"), "");
    await assert.rejects(writeProfile(join(folder, "file", "profile.json"), profile), /can't be written to/);
    await assert.rejects(readProfile(folder), /can't be read/);
  });
});

/** Each planted bug is found, by the checker that is there for it, within a bounded number of seeds. */
import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { repositoryRoot } from "../support/source_files.ts";
import { checkerNames } from "./checkers/all.ts";
import { type PlantedBug, plantedBugs } from "./planted.ts";

const seedsMax = 60;

/** A copy of all that the simulator loads, with the bug in it. */
async function plant(bug: PlantedBug, folder: string): Promise<void> {
  for (const path of ["deno.json", "deno.lock", "lib", "tests/simulation"]) {
    await cp(`${repositoryRoot}/${path}`, `${folder}/${path}`, { recursive: true });
  }
  for (const { file, from, to } of bug.changes) {
    const text = await Deno.readTextFile(`${folder}/${file}`);
    assert.equal(text.split(from).length, 2, `${file} has this exactly once:\n${from}`);
    await Deno.writeTextFile(`${folder}/${file}`, text.replace(from, () => to));
  }
}

/** The first seed that fails, and what found it. */
async function firstFailure(
  folder: string,
  checker: string,
): Promise<{ seed: number; checker: string } | null> {
  const main = `${folder}/tests/simulation/main.ts`;
  const args = [
    "run",
    "-A",
    "--no-check",
    main,
    "--seeds",
    `1..${seedsMax}`,
    "--step",
    "1",
    "--first",
    "--checker",
    checker,
  ];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: folder }).output();
  const lines = new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith("{"));
  const last = lines.length > 0 ? JSON.parse(lines.at(-1)!) : {};
  return last.checker === undefined ? null : last;
}

Deno.test("each checker has a planted bug to find", () => {
  const found = new Set(plantedBugs.map(({ checker }) => checker));
  assert.deepEqual([...found].sort(), checkerNames().sort());
});

for (const bug of plantedBugs) {
  Deno.test(`the simulator finds: ${bug.name}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "sqwish-planted-" });
    try {
      await plant(bug, folder);
      const found = await firstFailure(folder, bug.checker);
      assert.ok(found, `none of ${seedsMax} seeds found it`);
      assert.equal(found.checker, bug.checker, JSON.stringify(found));
      if (Deno.env.has("SQWISH_SHOW")) console.log(JSON.stringify(found));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

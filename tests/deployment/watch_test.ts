import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, createSystemClock } from "../../lib/clock.ts";
import { watchConfiguration } from "../../lib/deployment/watch.ts";
import { limits } from "../../lib/limits.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual_clock.ts";

async function withWatch(use: (folder: string, changes: () => number) => Promise<void>): Promise<void> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "watch-")));
  const configuration = join(folder, "cluster.jsonc");
  await mkdir(join(folder, "modules/lib"), { recursive: true });
  await writeFile(configuration, "{}");
  let changes = 0;
  const errors: unknown[] = [];
  const watch = watchConfiguration({
    clock: createSystemClock(),
    onChange: () => changes++,
    onError: (_folder, cause) => errors.push(cause),
  });
  try {
    watch.watch([configuration, join(folder, "modules")]);
    await use(folder, () => changes);
    assert.deepEqual(errors, []);
  } finally {
    watch.close();
    await rm(folder, { recursive: true });
  }
}

Deno.test("`watchConfiguration()` sees a file written, replaced by a rename, and replaced again", () =>
  withWatch(async (folder, changes) => {
    const file = join(folder, "cluster.jsonc");
    await writeFile(file, "{ }");
    await eventually("a change by writing", () => changes() >= 1);
    for (const round of [2, 3]) {
      await writeFile(join(folder, "cluster.jsonc.tmp"), `{${" ".repeat(round)}}`);
      await rename(join(folder, "cluster.jsonc.tmp"), file);
      await eventually("a change by renaming", () => changes() >= round);
    }
  }));

Deno.test("`watchConfiguration()` sees modules in folders of folders", () =>
  withWatch(async (folder, changes) => {
    await writeFile(join(folder, "modules/lib/a.ts"), "export {};");
    await eventually("a change of a module", () => changes() === 1);
  }));

Deno.test("`watchConfiguration()` passes over databases and over reading", async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "watch-")));
  await writeFile(join(folder, "a.ts"), "");
  let seen = 0;
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    every: () => () => {},
    after() {
      seen++;
      return () => {};
    },
  };
  const watch = watchConfiguration({ clock, onChange: () => {}, onError: () => assert.fail("watching") });
  try {
    watch.watch([folder]);
    await writeFile(join(folder, "state.db-wal"), "x");
    await readFile(join(folder, "a.ts"));
    await rm(join(folder, "a.ts"));
    await eventually("the removal", () => seen > 0);
    assert.equal(seen, 1);
  } finally {
    watch.close();
    await rm(folder, { recursive: true });
  }
});

Deno.test("`watchConfiguration()` tells a burst once, when it is over", async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "watch-")));
  const clock = new ManualClock();
  let changes = 0;
  const watch = watchConfiguration({
    clock,
    onChange: () => changes++,
    onError: () => assert.fail("watching"),
  });
  try {
    watch.watch([folder]);
    for (let index = 0; index < 20; index++) await writeFile(join(folder, `${index}.ts`), "");
    await eventually("a pending call", () => clock.pendingTimers === 1);
    assert.equal(changes, 0);
    clock.advance(limits.watchQuietMs);
    assert.equal(changes, 1);
  } finally {
    watch.close();
    await rm(folder, { recursive: true });
  }
});

Deno.test("`watchConfiguration()` reports a folder that can't be watched, and goes on", () => {
  const errors: string[] = [];
  const watch = watchConfiguration({
    clock: createSystemClock(),
    onChange: () => {},
    onError: (folder) => errors.push(folder),
  });
  watch.watch(["/nonexistent-folder/cluster.jsonc"]);
  watch.close();
  assert.deepEqual(errors, ["/nonexistent-folder"]);
});

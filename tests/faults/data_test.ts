/** What a compiled manager says of data that it can't work with: one line, what is wrong and what to do, exit code 1. */
import assert from "node:assert/strict";
import { run } from "../../bench/chaos/system.ts";
import { binariesFolder } from "../../bench/chaos/stage.ts";
import { Cluster, Program, programCommand, startCluster } from "../support/cluster.ts";

/** A manager's data folder that a cluster has been in. */
async function withData(work: (folder: string, database: Uint8Array) => Promise<void>): Promise<void> {
  const cluster: Cluster = await startCluster({ binaries: await binariesFolder() });
  try {
    await cluster.manager.end();
    const folder = cluster.managerFolder;
    await work(folder, await Deno.readFile(`${folder}/sqwish.db`));
  } finally {
    await cluster.close();
  }
}

async function refusal(folder: string): Promise<string> {
  const args = ["--data", folder, "--listen", "127.0.0.1:0"];
  const manager = new Program(programCommand("manager", await binariesFolder()), args);
  const { code } = await manager.finished();
  assert.equal(code, 1, manager.output);
  const lines = manager.output.trim().split("\n").filter((line) => !/ warn /.test(line));
  assert.equal(lines.length, 1, manager.output);
  return lines[0];
}

Deno.test("a database that was cut short is refused, with what to do", async () => {
  await withData(async (folder, database) => {
    for (const share of [0.1, 0.5, 0.9]) {
      await Deno.writeFile(`${folder}/sqwish.db`, database.subarray(0, Math.floor(database.length * share)));
      assert.match(await refusal(folder), /sqwish\.db is damaged; restore a backup, or move the folder away/);
    }
  });
});

Deno.test("a bit that has flipped in the structure of the database is found at the start", async () => {
  await withData(async (folder, database) => {
    const pageBytes = 4096;
    for (const page of [1, 2, 4]) {
      const flipped = database.slice();
      // The kind of the page, the first byte of its header (sqlite.org/fileformat.html#b_tree_pages).
      flipped[(page - 1) * pageBytes + (page === 1 ? 100 : 0)] ^= 4;
      await Deno.writeFile(`${folder}/sqwish.db`, flipped);
      assert.match(await refusal(folder), /sqwish\.db is damaged; restore a backup, or move the folder away/);
    }
  });
});

Deno.test("a read-only data folder is refused, with what to do", async () => {
  await withData(async (folder, database) => {
    const mounted = `${folder}/read-only`;
    await Deno.mkdir(mounted);
    await run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", mounted]);
    try {
      await Deno.writeFile(`${mounted}/sqwish.db`, database);
      await run(["mount", "-o", "remount,ro", mounted]);
      assert.match(await refusal(mounted), /must be a folder this user can write to, and it is not/);
    } finally {
      await run(["umount", mounted]);
    }
  });
});

import assert from "node:assert/strict";
import { main } from "../../lib/manager/command_line.ts";
import { requireReadyFile, writeReadyFile } from "../../lib/manager/ready_file.ts";
import { fileExists } from "../../lib/store/data_folder.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { withFolder } from "../store/support.ts";

Deno.test("a ready file that can't be written is refused by its option before a cluster is made", () =>
  withFolder(async (folder) => {
    const terminal = new FakeTerminal();
    const argv = ["--data", `${folder}/data`, "--ready-file", `${folder}/none/ready.json`];
    assert.equal(await main(argv, () => assert.fail("nothing is started"), terminal), 1);
    assert.match(
      terminal.error,
      /^manager: The ready file .*none\/ready\.json can't be written; .*--ready-file/,
    );
    assert.equal(fileExists(`${folder}/data`), false);
  }));

Deno.test("the ready file of an earlier start stays until it is replaced whole", () =>
  withFolder(async (folder) => {
    const path = `${folder}/ready.json`;
    await writeReadyFile(path, "1");
    await requireReadyFile(path);
    assert.equal(await Deno.readTextFile(path), "1");
    await writeReadyFile(path, "2");
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["ready.json"]);
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o600);
    await assert.rejects(requireReadyFile(folder), { code: "invalid_request" });
  }));

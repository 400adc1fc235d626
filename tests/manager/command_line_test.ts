import assert from "node:assert/strict";
import { main } from "../../lib/manager/command_line.ts";
import { openStore } from "../../lib/store/store.ts";
import { FakeTerminal } from "../cli/fake_terminal.ts";
import { withFolder } from "../store/support.ts";

async function manager(argv: string[], input = "") {
  const terminal = Object.assign(new FakeTerminal(), { input: new TextEncoder().encode(input) });
  const code = await main(argv, () => assert.fail("nothing is started"), terminal);
  return { code, out: terminal.out, error: terminal.error };
}

Deno.test("commands about users say what they did, and a generated password has standard output to itself", () =>
  withFolder(async (folder) => {
    openStore({ folder }).close();
    const user = (verb: string, ...rest: string[]) => ["user", verb, "ada", "--data", folder, ...rest];
    const added = await manager(user("add", "--role", "operator"));
    assert.deepEqual([added.code, added.error], [0, "ada: added as operator\n"]);
    assert.match(added.out, /^\S{8,}\n$/);
    const generated = await manager(user("passwd"));
    assert.match(generated.out, /^\S{8,}\n$/);
    assert.equal(generated.error, "ada: the password is changed\n");
    const given = await manager(user("passwd", "--password-stdin"), "correct horse battery\n");
    assert.deepEqual(given, { code: 0, out: "ada: the password is changed\n", error: "" });
    assert.deepEqual(await manager(user("remove")), { code: 0, out: "ada: removed\n", error: "" });
    const gone = await manager(user("remove"));
    assert.deepEqual([gone.code, gone.out], [1, ""]);
  }));

Deno.test("`check` says why a file can't be read", () =>
  withFolder(async (folder) => {
    for (const [file, why] of [[folder, /directory/], [`${folder}/none.jsonc`, /No such file/]] as const) {
      const { code, error } = await manager(["check", "--config", file]);
      assert.equal(code, 1);
      assert.match(error, why);
    }
  }));

Deno.test("a command without what it needs is wrong usage, whichever it is", async () => {
  for (const argv of [["user"], ["nosuch"], ["token"]]) {
    assert.equal((await manager(argv)).code, 2, argv.join());
  }
});

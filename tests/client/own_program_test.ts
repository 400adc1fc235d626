/** A program of one's own, outside of the checkout, as docs/client.md has it run. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withFolder } from "../store/support.ts";

Deno.test("a program outside of the checkout imports the library with the checkout's configuration", () =>
  withFolder(async (folder) => {
    const client = JSON.stringify(import.meta.resolve("../../client.ts"));
    const program = `import { connect, SqwishError } from ${client};
const given = { url: "https://127.0.0.1:1", user: "ada", password: "p", fingerprint: "ab".repeat(32) };
const failure = await connect({ ...given, connectTimeoutMs: 0 }).catch((thrown) => thrown);
console.log(failure instanceof SqwishError, failure.code);
`;
    await Deno.writeTextFile(`${folder}/own.ts`, program);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-net", "--allow-env", "--config", config, `${folder}/own.ts`],
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(text(stdout), "true manager_lost\n", text(stderr));
  }));

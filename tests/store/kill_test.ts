import assert from "node:assert/strict";
import { openStore } from "../../lib/store/store.ts";
import { withFolder } from "./support.ts";

/** Appends events for ever and prints each id once its `append()` has returned. */
const writer = `
  import { openStore } from ${JSON.stringify(import.meta.resolve("../../lib/store/store.ts"))};
  const store = openStore({ folder: Deno.args[0] });
  const line = new TextEncoder();
  for (;;) {
    const { id } = store.events.append({ atMs: 1, level: "info", kind: "k", subject: "s", message: "m" });
    store.settings.set("last", id);
    Deno.stdout.writeSync(line.encode(id + "\\n"));
  }
`;

Deno.test("a manager killed while it writes loses nothing it committed and frees its folder", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/writer.ts`, writer);
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-check",
        "--config",
        config,
        `${folder}/writer.ts`,
        `${folder}/data`,
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    let printed = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const enough = printed.length < 500 && printed.length + text.length >= 500;
      printed += text;
      if (enough) child.kill("SIGKILL");
    }
    const status = await child.status;
    assert.equal(status.signal, "SIGKILL");

    const lastPrinted = Number(printed.slice(0, printed.lastIndexOf("\n")).split("\n").at(-1));
    const store = openStore({ folder: `${folder}/data` });
    assert.ok(lastPrinted >= 100);
    assert.ok(store.events.lastId() >= lastPrinted, `${store.events.lastId()} stored, ${lastPrinted} said`);
    assert.ok(Number(store.settings.get("last")) >= lastPrinted);
    // By pages: how many were written until it was killed depends on the machine.
    let listed = 0;
    for (let page = 1; page > 0; listed += page) page = store.events.list({ afterId: listed }).length;
    assert.equal(listed, store.events.lastId());
    store.close();
  });
});

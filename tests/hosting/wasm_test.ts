import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import { Hosted } from "../support/hosted.ts";

function plugin(name: string): Promise<Uint8Array> {
  return Deno.readFile(new URL(`../support/plugins/${name}.wasm`, import.meta.url));
}

const text = (value: unknown) => new TextDecoder().decode(value as Uint8Array);

Deno.test("a plug-in's own functions are endpoints from bytes to bytes, beside JavaScript", async () => {
  await using hosted = await Hosted.ready({
    "kinds.wasm": await plugin("kinds"),
    "m.js": "export function echo(input) { return input; }",
  });
  const { endpoints } = await hosted.becomes("ready");
  assert.deepEqual(endpoints.map((endpoint) => endpoint.name).sort(), [
    "echo",
    "fail",
    "loop",
    "reverse",
    "trap",
  ]);
  const calls = ["abc", "", "Sqwish"].map((word) =>
    hosted.value("set/reverse", new TextEncoder().encode(word))
  );
  assert.deepEqual((await Promise.all(calls)).map(text), ["cba", "", "hsiwqS"]);
  // JSON goes in as the bytes it is written with.
  assert.equal(text(await hosted.value("set/reverse", { a: 1 })), `}1:"a"{`);
  assert.equal(await hosted.value("set/echo", 1), 1);
});

Deno.test("a plug-in's error and trap fail their own request", async () => {
  await using hosted = await Hosted.ready({ "kinds.wasm": await plugin("kinds") });
  const failed = await hosted.invoke("set/fail");
  assert.ok(!failed.ok && failed.code === "module_failed" && /oops/.test(failed.message));
  const trapped = await hosted.invoke("set/trap");
  assert.ok(!trapped.ok && trapped.code === "module_failed" && /unreachable/.test(trapped.message));
  assert.equal(text(await hosted.value("set/reverse", new Uint8Array([65, 66]))), "BA");
});

Deno.test("an endless loop in a plug-in is ended at its deadline", async () => {
  await using hosted = await Hosted.ready({ "kinds.wasm": await plugin("kinds") });
  const outcome = await hosted.invoke("set/loop", null, { timeoutMs: 300 });
  assert.ok(!outcome.ok && outcome.code === "deadline_exceeded");
  assert.equal(text(await hosted.value("set/reverse", new Uint8Array([65, 66]))), "BA");
});

Deno.test("a WASI plug-in's output goes to the log", async () => {
  await using hosted = await Hosted.ready({ "speak.wasm": await plugin("wasi") });
  await hosted.value("set/speak");
  await eventually("the line", () => hosted.logs.some((line) => line.text === "printed by wasi"));
});

Deno.test("bytes that are no plug-in are refused by name", async () => {
  await using hosted = await Hosted.create();
  hosted.deploy({ "broken.wasm": new Uint8Array([0, 97, 115, 109, 9]) });
  assert.match((await hosted.becomes("failed")).reason ?? "", /modules\/broken\.wasm is not a plug-in/);
});

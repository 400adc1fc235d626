import assert from "node:assert/strict";
import { Hosted } from "../support/hosted.ts";

Deno.test("a replica loads its module and answers a request", async () => {
  await using hosted = await Hosted.ready({
    "hello.js":
      "export function hello(input, ctx) { return { greeting: `hello ${input.name}`, endpoint: ctx.endpoint }; }",
  });
  assert.deepEqual(await hosted.value("set/hello", { name: "pi" }), {
    greeting: "hello pi",
    endpoint: "set/hello",
  });
});

/** The decisions of the try-out box: what to start from, what came back, where the time went. */
import assert from "node:assert/strict";
import { exampleOf, pictureType, timingWords } from "../../dashboard/try_out.js";

Deno.test("an example input is made of the schema's defaults, examples and types", () => {
  const schema = {
    type: "object",
    properties: {
      url: { type: "string", examples: ["https://example.com/a.png"] },
      width: { type: "integer", minimum: 16 },
      quality: { type: "number", default: 80 },
      format: { enum: ["png", "jpeg"] },
      tags: { type: "array", items: { type: "string" } },
      sizes: { type: "array", minItems: 1, items: { type: "integer" } },
      crop: { type: ["boolean", "null"] },
    },
  };
  assert.deepEqual(exampleOf(schema), {
    url: "https://example.com/a.png",
    width: 16,
    quality: 80,
    format: "png",
    tags: [],
    sizes: [0],
    crop: false,
  });
  assert.deepEqual(exampleOf(undefined), {});
});

Deno.test("pictures are known by their first bytes", () => {
  assert.equal(pictureType(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d])), "image/png");
  assert.equal(pictureType(new Uint8Array([0xff, 0xd8, 0xff, 0xe0])), "image/jpeg");
  assert.equal(pictureType(new Uint8Array([0x3c, 0x73, 0x76, 0x67])), null);
  assert.equal(pictureType(new Uint8Array()), null);
});

Deno.test("the timing header is put into words", () => {
  assert.deepEqual(timingWords("queue=0.3 run=12.1 total=1300.0"), [
    "queue 0.3 ms",
    "run 12 ms",
    "total 1.3 s",
  ]);
  assert.deepEqual(timingWords(null), []);
});

/** One colour per name, stable and, while there are enough, never shared. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { createPalette, withAlpha } from "../../dashboard/colours.js";

const names = fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 40 });

Deno.test("up to eight names of a kind have eight colours", () => {
  fc.assert(fc.property(names, (some) => {
    const palette = createPalette();
    palette.assign("agent", some.slice(0, 8));
    const used = new Set(some.slice(0, 8).map((name) => palette.of("agent", name)));
    assert.equal(used.size, Math.min(8, some.length));
  }));
});

Deno.test("a reload gives the same colours whatever is drawn first", () => {
  fc.assert(fc.property(names, (some) => {
    const [one, other] = [createPalette(), createPalette()];
    one.assign("endpoint", some);
    other.assign("endpoint", [...some].reverse());
    for (const name of some) assert.equal(one.of("endpoint", name), other.of("endpoint", name));
  }));
});

Deno.test("a name keeps its colour when others come", () => {
  const palette = createPalette();
  const before = palette.of("agent", "attic");
  palette.assign("agent", ["shed", "garage", "kitchen", "attic"]);
  assert.equal(palette.of("agent", "attic"), before);
});

Deno.test("`withAlpha()` adds two digits", () => {
  assert.equal(withAlpha("#0b8a78", 0.5), "#0b8a7880");
  assert.equal(withAlpha("#0b8a78", 0), "#0b8a7800");
});

import assert from "node:assert/strict";
import fc from "fast-check";
import { createLog } from "../lib/log.ts";
import { ManualClock } from "./support/manual_clock.ts";

Deno.test("a record is one line without control characters, whatever peers and modules have written into it", () => {
  const lines: string[] = [];
  const log = createLog({ clock: new ManualClock(), write: (line) => lines.push(line) });
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("a\nb", "\u001b[2J", "\u009b2J", "\u2028"),
  );
  fc.assert(fc.property(texts, texts, (message, value) => {
    log.info(message, { value });
    assert.match(lines.at(-1)!, /^[^\p{Cc}\u2028\u2029]*$/u);
  }));
  log.info("first\nsecond");
  assert.equal(lines.at(-1), "2023-11-14T22:13:20.000Z info  first\\nsecond");
});

Deno.test("records below the level are left out, and JSON lines hold the same fields", () => {
  const lines: string[] = [];
  const log = createLog({
    clock: new ManualClock(),
    write: (line) => lines.push(line),
    level: "warn",
    json: true,
  });
  log.info("unseen");
  log.error("seen", { error: new Error("outer", { cause: new Error("inner") }) });
  assert.deepEqual(lines.map((line) => JSON.parse(line)), [
    { time: "2023-11-14T22:13:20.000Z", level: "error", message: "seen", error: "outer: inner" },
  ]);
});

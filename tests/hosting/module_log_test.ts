import assert from "node:assert/strict";
import { createModuleLog } from "../../lib/hosting/module_log.ts";
import { ManualClock } from "../support/manual_clock.ts";

Deno.test("of a flood, what was dropped is counted, also when the module falls silent after it", () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log = createModuleLog(clock, (_level, text) => lines.push(text));
  for (let at = 0; at < 700; at++) log.write("info", [at]);
  assert.equal(lines.length, 500);
  clock.advance(1000);
  assert.equal(lines.at(-1), "200 log lines were dropped: more than 100 per second");
  log.write("info", ["again"]);
  assert.equal(lines.length, 502);
});

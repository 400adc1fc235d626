import assert from "node:assert/strict";
import { createProgress, progressBar } from "../../lib/cli/progress.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { FakeTerminal } from "./fake_terminal.ts";

Deno.test("into a pipe each change is one plain line, and the end comes once", () => {
  const terminal = new FakeTerminal();
  const clock = new ManualClock();
  const progress = createProgress(terminal, clock);
  progress.update("1 of 3 ready", 0.3);
  progress.update("1 of 3 ready", 0.3);
  progress.update("2 of 3 ready", 0.6);
  progress.done("done");
  progress.update("late");
  progress.failed("late");
  progress.clear();
  assert.equal(terminal.error, "1 of 3 ready\n2 of 3 ready\ndone\n");
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("on a terminal one line is drawn over, never wider than the terminal, and the cursor comes back", () => {
  const terminal = Object.assign(new FakeTerminal(), { isErrorTerminal: true, columns: 40 });
  const clock = new ManualClock();
  const progress = createProgress(terminal, clock);
  progress.update("a text that is much longer than the forty columns there are", 0.5);
  clock.advance(1000);
  const drawn = terminal.error.split("\r\x1b[2K").slice(1);
  assert.equal(drawn.length, 11);
  assert.ok(drawn.every((line) => [...line].length <= 39));
  assert.ok(new Set(drawn).size > 5, "the spinner turns");
  progress.done("done");
  assert.ok(terminal.error.endsWith("\x1b[?25h✓ done\n"));
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("`progressBar()` is empty at 0, full at 1, and keeps its length", () => {
  assert.equal(progressBar(0), "░".repeat(24));
  assert.equal(progressBar(1), "█".repeat(24));
  for (const share of [-1, 0.1, 0.5, 2, NaN]) assert.equal([...progressBar(share)].length, 24);
});

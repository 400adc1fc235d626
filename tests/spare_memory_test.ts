/** When memory is given back, and that it is. */
import assert from "node:assert/strict";
import { runProgram } from "../examples/demo/programs.ts";
import { giveBackWhenQuiet } from "../lib/spare_memory.ts";
import { repositoryRoot } from "./support/source_files.ts";
import { ManualClock } from "./support/manual_clock.ts";

/** A process that works as told; `given` counts how often it has given memory back. */
function setUp() {
  const clock = new ManualClock();
  const process = { cpuMs: 0, given: 0 };
  const stop = giveBackWhenQuiet({
    clock,
    cpuMs: () => process.cpuMs,
    giveBack: () => void process.given++,
  });
  const work = (seconds: number, msPerSecond: number) => {
    for (let i = 0; i < seconds; i++) {
      process.cpuMs += msPerSecond;
      clock.advance(1000);
    }
  };
  return { process, stop, work };
}

Deno.test("memory is given back once after each time of work, as soon as it is over", () => {
  const { process, stop, work } = setUp();
  work(60, 900);
  assert.equal(process.given, 0, "not while it works");
  work(20, 1);
  assert.equal(process.given, 1);
  work(300, 1);
  assert.equal(process.given, 1, "nothing was done since");
  work(5, 900);
  work(20, 1);
  assert.equal(process.given, 2);
  stop();
  work(5, 900);
  work(20, 1);
  assert.equal(process.given, 2);
});

Deno.test("a start is work enough", () => {
  const { process, work } = setUp();
  work(300, 1);
  assert.equal(process.given, 1);
});

Deno.test("what little is always done adds up to work", () => {
  const { process, work } = setUp();
  // Fifty idle agents cost a manager about as much.
  work(600, 14);
  assert.ok(process.given >= 10 && process.given <= 20, `${process.given} times in ten minutes`);
});

Deno.test({
  name: "freed memory that the C library keeps goes back to the system",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const givenMin = 30 * 1024 * 1024;
    const text = `
      import { openGiveBack } from "${repositoryRoot}/lib/spare_memory.ts";
      const giveBack = openGiveBack();
      // Every tenth stays, so that none of it lies at the end of the heap, where the C library gives it back itself.
      const all = Array.from({ length: 5000 }, () => new Uint8Array(16 * 1024).fill(1));
      const kept = all.filter((_, index) => index % 10 === 0);
      all.length = 0;
      const before = Deno.memoryUsage().rss;
      let given = 0;
      // Buffers are freed by a thread beside, when it comes to it.
      for (let look = 0; look < 100 && given < ${givenMin}; look++) {
        gc();
        await new Promise((resolve) => setTimeout(resolve, 100));
        giveBack();
        given = before - Deno.memoryUsage().rss;
      }
      console.log(given, kept.length);`;
    const flags = ["--no-check", "--v8-flags=--expose-gc", "--ext=ts"];
    const { code, stdout, stderr } = await runProgram([Deno.execPath(), "eval"], [...flags, text]);
    assert.equal(code, 0, stderr);
    const given = parseInt(new TextDecoder().decode(stdout));
    assert.ok(given >= givenMin, `${given} bytes of some 70 MB`);
  },
});

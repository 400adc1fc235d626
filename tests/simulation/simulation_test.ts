/** A few seeds of the simulator, and that a seed always goes the same way. CI runs thousands: `deno task sim`. */
import assert from "node:assert/strict";
import { simulate } from "./run.ts";

const seeds = 12;

for (let seed = 1; seed <= seeds; seed++) {
  Deno.test(`seed ${seed} keeps every promise through its faults`, async () => {
    const { failure } = await simulate(seed);
    assert.equal(failure, null, `${failure?.checker}: ${failure?.message}; all of it: deno task sim ${seed}`);
  });
}

Deno.test("the same seed goes the same way again, with its trace kept or not, and in another process", async () => {
  const first = await simulate(3);
  const second = await simulate(3, { trace: true });
  assert.ok(first.events > 1000);
  assert.equal(second.hash, first.hash);
  assert.equal(second.events, first.events);
  const main = import.meta.dirname + "/main.ts";
  const args = ["run", "-A", "--no-check", main, "3"];
  const { stderr } = await new Deno.Command(Deno.execPath(), { args, stdout: "null" }).output();
  assert.match(new TextDecoder().decode(stderr), new RegExp(`trace ${first.hash}`));
});

Deno.test("another seed goes another way", async () => {
  assert.notEqual((await simulate(3)).hash, (await simulate(4)).hash);
});

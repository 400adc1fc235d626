/** The simulator's command line: what it can't mean is refused in one line, and filters hold for ranges, too. */
import assert from "node:assert/strict";

async function sim(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = `${import.meta.dirname}/main.ts`;
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", "--no-check", main, ...args] });
  const { code, stdout, stderr } = await command.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

const refusals: [string[], RegExp][] = [
  [["abc"], /The seed must be a whole number/],
  [["1.5"], /The seed must be a whole number/],
  [["--seeds", "5"], /--seeds takes the first and the last/],
  [["--seeds", "9..3"], /--seeds takes the first and the last/],
  [["--seeds", "1..2", "3"], /One seed is replayed by itself/],
  [["--seeds", "1..2", "--checker", "nobody"], /--checker must be one of one outcome, .*it is "nobody"/],
  [["7", "--agents", "many"], /--agents must be a whole number from 1 on/],
  [["--seed", "7"], /--seed/],
];

for (const [args, message] of refusals) {
  Deno.test(`\`deno task sim ${args.join(" ")}\` exits with 2 and says why in one line`, async () => {
    const { code, stdout, stderr } = await sim(...args);
    assert.deepEqual([code, stdout, stderr.trimEnd().split("\n").length], [2, "", 1], stderr);
    assert.match(stderr, message);
  });
}

Deno.test("a range runs on all cores, with the checker and the size that were asked for", async () => {
  const args = ["--seeds", "1..3", "--checker", "run once", "--agents", "5", "--clients", "2", "--first"];
  const { code, stdout } = await sim(...args);
  assert.match(stdout, /^ok \| 3 passed \| 0 failed/);
  assert.equal(code, 0);
});

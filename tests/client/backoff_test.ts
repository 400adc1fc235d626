import assert from "node:assert/strict";
import fc from "fast-check";
import { reconnectDelayMs } from "../../lib/client/backoff.ts";
import { limits } from "../../lib/limits.ts";
import { createSeededRandom } from "../../lib/random.ts";

Deno.test("`reconnectDelayMs()` stays between half of the grown minimum and the maximum", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.integer(), (failures, seed) => {
    const delayMs = reconnectDelayMs(failures, createSeededRandom(seed));
    const wholeMs = Math.min(
      limits.reconnectMsMax,
      limits.reconnectMsMin * 1.5 ** Math.min(failures - 1, 60),
    );
    assert.ok(delayMs >= wholeMs / 2 && delayMs <= wholeMs, `${failures}: ${delayMs}`);
  }));
});

Deno.test("`reconnectDelayMs()` spreads the peers of one restarted manager", () => {
  const delays = Array.from({ length: 100 }, (_, seed) => reconnectDelayMs(12, createSeededRandom(seed)));
  assert.ok(Math.max(...delays) - Math.min(...delays) > limits.reconnectMsMax / 4);
});

Deno.test("`reconnectDelayMs()` finds a manager that was away for half a second within half a second more", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = createSeededRandom(seed);
    let atMs = 0;
    for (let failures = 1; atMs < 500; failures++) atMs += reconnectDelayMs(failures, random);
    assert.ok(atMs < 1000, `seed ${seed}: ${atMs} ms`);
  }
});

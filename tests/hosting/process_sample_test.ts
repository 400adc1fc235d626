import assert from "node:assert/strict";
import { parseProcessSample, readProcessSample } from "../../lib/hosting/process_sample.ts";

Deno.test("memory is anonymous pages and swap, CPU is user and system time", () => {
  const status =
    "Name:\tagent\nVmRSS:\t   61000 kB\nRssAnon:\t   12000 kB\nRssFile:\t   49000 kB\nVmSwap:\t     500 kB\n";
  const stat = `77 (an (odd) name) S 1 77 77 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 1 1 1`;
  assert.deepEqual(parseProcessSample(status, stat), { memoryBytes: 12_500 * 1024, cpuMs: 2000 });
});

Deno.test("this process can be read and one that is gone can't", () => {
  const sample = readProcessSample(Deno.pid, (path) => Deno.readTextFileSync(path));
  assert.ok(sample && sample.memoryBytes > 1_000_000 && sample.cpuMs >= 0);
  assert.equal(readProcessSample(4_194_304 + 1, (path) => Deno.readTextFileSync(path)), undefined);
});

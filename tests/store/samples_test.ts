import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import type { SampleRow, SampleStore } from "../../lib/store/samples.ts";
import { openStore } from "../../lib/store/store.ts";

const fine = limits.sampleMs;
const coarse = limits.rolledUpMs;

function withSamples(work: (samples: SampleStore) => void): void {
  const store = openStore({ folder: null });
  try {
    work(store.samples);
  } finally {
    store.close();
  }
}

function row(kind: string, subject: string, atMs: number, value: unknown = [atMs]): SampleRow {
  return { kind, subject, atMs, value };
}

Deno.test("`read()` returns one subject's rows of one resolution within the range, in time", () => {
  withSamples((samples) => {
    samples.write(fine, [30, 10, 20, 40].map((atMs) => row("agent", "pi-1", atMs)));
    samples.write(fine, [row("agent", "pi-2", 20), row("endpoint", "pi-1", 20)]);
    samples.write(coarse, [row("agent", "pi-1", 20)]);
    const found = samples.read({ resolutionMs: fine, kind: "agent", subject: "pi-1", fromMs: 10, toMs: 40 });
    assert.deepEqual(found, [10, 20, 30].map((atMs) => row("agent", "pi-1", atMs)));
  });
});

Deno.test("`read()` without a subject returns every subject of the kind", () => {
  withSamples((samples) => {
    samples.write(fine, [row("agent", "pi-2", 10), row("agent", "pi-1", 20), row("endpoint", "a/b", 10)]);
    const found = samples.read({ resolutionMs: fine, kind: "agent", fromMs: 0, toMs: 100 });
    assert.deepEqual(found.map((each) => each.subject), ["pi-1", "pi-2"]);
  });
});

Deno.test("writing a row again replaces it", () => {
  withSamples((samples) => {
    samples.write(fine, [row("agent", "pi-1", 10, [1])]);
    samples.write(fine, [row("agent", "pi-1", 10, { v: [2, null] })]);
    const found = samples.read({ resolutionMs: fine, kind: "agent", fromMs: 0, toMs: 100 });
    assert.deepEqual(found, [row("agent", "pi-1", 10, { v: [2, null] })]);
  });
});

Deno.test("`lastBefore()` returns each subject's newest row before a time", () => {
  withSamples((samples) => {
    samples.write(fine, [10, 20, 30].map((atMs) => row("agent", "pi-1", atMs)));
    samples.write(fine, [row("agent", "pi-2", 5), row("agent", "pi-3", 30)]);
    const found = samples.lastBefore(fine, "agent", undefined, 30);
    assert.deepEqual(found, [row("agent", "pi-1", 20), row("agent", "pi-2", 5)]);
  });
});

Deno.test("`prune()` drops what is older, keeps the other resolution, and forgets subjects without rows", () => {
  withSamples((samples) => {
    samples.write(fine, [10, 20, 30].map((atMs) => row("agent", "pi-1", atMs)));
    samples.write(fine, [row("agent", "pi-2", 10)]);
    samples.write(coarse, [row("agent", "pi-1", 10), row("agent", "pi-3", 10)]);
    assert.equal(samples.prune(fine, 20), 2);
    assert.equal(samples.prune(fine, 20), 0);
    const left = samples.read({ resolutionMs: fine, kind: "agent", fromMs: 0, toMs: 100 });
    assert.deepEqual(left.map((each) => each.atMs), [20, 30]);
    assert.equal(samples.read({ resolutionMs: coarse, kind: "agent", fromMs: 0, toMs: 100 }).length, 2);
    samples.write(fine, [row("agent", "pi-2", 40)]);
    assert.deepEqual(samples.lastBefore(fine, "agent", "pi-2", 100), [row("agent", "pi-2", 40)]);
  });
});

Deno.test("a write that fails half way leaves nothing, and the next one works", () => {
  withSamples((samples) => {
    const unwritable = row("agent", "pi-2", 20, 1n);
    assert.throws(() => samples.write(fine, [row("agent", "pi-1", 10), unwritable]));
    assert.deepEqual(samples.read({ resolutionMs: fine, kind: "agent", fromMs: 0, toMs: 100 }), []);
    samples.write(fine, [row("agent", "pi-1", 10)]);
    assert.equal(samples.read({ resolutionMs: fine, kind: "agent", fromMs: 0, toMs: 100 }).length, 1);
  });
});

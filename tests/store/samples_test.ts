import assert from "node:assert/strict";
import type { NewBlock, SampleStore } from "../../lib/store/samples.ts";
import { openStore } from "../../lib/store/store.ts";

const dayMs = 24 * 3600_000;

function withSamples(work: (samples: SampleStore) => void): void {
  const store = openStore({ folder: null });
  try {
    work(store.samples);
  } finally {
    store.close();
  }
}

function block(subject: string, slot: number, byte = slot % 256): NewBlock {
  return { kind: "agent", subject, slot, bytes: Uint8Array.of(byte) };
}

function slots(samples: SampleStore, subject: string, fromSlot: number, toSlot: number): number[] {
  const id = samples.subjectId("agent", subject)!;
  return samples.readBlocks("minute", id, fromSlot, toSlot).map(({ slot }) => slot);
}

Deno.test("`readBlocks()` returns one subject's blocks of one span within the range, in time", () => {
  withSamples((samples) => {
    samples.writeBlocks("minute", [30, 10, 20, 40].map((slot) => block("pi-1", slot)));
    samples.writeBlocks("minute", [block("pi-2", 20, 7), { ...block("pi-1", 20), kind: "endpoint" }]);
    samples.writeBlocks("hour", [block("pi-1", 20, 9)]);
    const id = samples.subjectId("agent", "pi-1")!;
    const found = samples.readBlocks("minute", id, 10, 40);
    assert.deepEqual(found, [10, 20, 30].map((slot) => ({ slot, bytes: Uint8Array.of(slot) })));
    assert.deepEqual(samples.readBlocks("hour", id, 20, 21), [{ slot: 20, bytes: Uint8Array.of(9) }]);
    assert.deepEqual(samples.readBlocks("minute", id, 20, 20), []);
  });
});

Deno.test("a range of years, which a wrong clock leaves, is read as well as a short one", () => {
  withSamples((samples) => {
    const [before, now] = [5, 30_000_000];
    samples.writeBlocks("minute", [before, now, now + 1].map((slot) => block("pi-1", slot)));
    samples.writeBlocks("minute", [block("pi-2", now)]);
    assert.deepEqual(slots(samples, "pi-1", 0, 60_000_000), [before, now, now + 1]);
    assert.deepEqual(slots(samples, "pi-2", 0, 60_000_000), [now]);
    assert.deepEqual(slots(samples, "pi-1", now + 1, 60_000_000), [now + 1]);
  });
});

Deno.test("writing a block again replaces it", () => {
  withSamples((samples) => {
    samples.writeBlocks("minute", [block("pi-1", 10, 1)]);
    samples.writeBlocks("minute", [block("pi-1", 10, 2)]);
    const id = samples.subjectId("agent", "pi-1")!;
    assert.deepEqual(samples.readBlocks("minute", id, 0, 100), [{ slot: 10, bytes: Uint8Array.of(2) }]);
  });
});

Deno.test("`newestSlot()` and `oldestSlot()` tell of all subjects, up to and from where they are asked", () => {
  withSamples((samples) => {
    assert.equal(samples.newestSlot("minute"), undefined);
    samples.writeBlocks("minute", [block("pi-1", 10), block("pi-2", 20)]);
    assert.deepEqual([samples.newestSlot("minute"), samples.oldestSlot("minute")], [20, 10]);
    assert.deepEqual([samples.newestSlot("minute", 20), samples.oldestSlot("minute", 11)], [10, 20]);
    assert.deepEqual([samples.newestSlot("minute", 10), samples.oldestSlot("minute", 21)], [
      undefined,
      undefined,
    ]);
    assert.equal(samples.newestSlot("hour"), undefined);
  });
});

Deno.test("`pruneBlocks()` drops what is older and leaves the other span", () => {
  withSamples((samples) => {
    samples.writeBlocks("minute", [10, 20, 30].map((slot) => block("pi-1", slot)));
    samples.writeBlocks("minute", [block("pi-2", 10)]);
    samples.writeBlocks("hour", [block("pi-1", 10)]);
    assert.equal(samples.pruneBlocks("minute", 20), 2);
    assert.equal(samples.pruneBlocks("minute", 20), 0);
    assert.deepEqual(slots(samples, "pi-1", 0, 100), [20, 30]);
    assert.equal(samples.newestSlot("hour"), 10);
  });
});

Deno.test("`pruneSubjects()` forgets those without samples since then, and none that has some", () => {
  withSamples((samples) => {
    const hoursOfDay = 24;
    samples.writeBlocks("hour", [block("old", 10 * hoursOfDay), block("new", 10 * hoursOfDay)]);
    samples.writeBlocks("hour", [block("new", 20 * hoursOfDay)]);
    // Its use is noted once a day, so that it may be told a day too early.
    samples.writeBlocks("hour", [block("new", 21 * hoursOfDay - 1)]);
    samples.pruneSubjects(11 * dayMs);
    assert.deepEqual(samples.subjects("agent").map(({ subject }) => subject), ["new", "old"]);
    samples.pruneSubjects(21 * dayMs - 1);
    assert.deepEqual(samples.subjects().map(({ subject }) => subject), ["new"]);
    samples.writeBlocks("hour", [block("old", 30 * hoursOfDay)]);
    assert.equal(samples.subjects().length, 2);
  });
});

Deno.test("a write that fails half way leaves nothing, and the next one works", () => {
  withSamples((samples) => {
    const unwritable = { ...block("pi-2", 20), bytes: 1n as unknown as Uint8Array };
    assert.throws(() => samples.writeBlocks("minute", [block("pi-1", 10), unwritable]));
    assert.deepEqual([samples.newestSlot("minute"), samples.subjects()], [undefined, []]);
    samples.writeBlocks("minute", [block("pi-1", 10)]);
    assert.deepEqual(slots(samples, "pi-1", 0, 100), [10]);
  });
});

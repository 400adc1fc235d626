/** The question for a past time: in slices, one after the other, a bounded number of them. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { Past } from "../../lib/manager/past.ts";
import { startMs, withRecording } from "../metrics/support.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { rejectsWith } from "../security/rejects_with.ts";

/** Lets what waits for promises go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function withPast(work: (past: Past, clock: ManualClock, toMs: number) => Promise<void>): Promise<void> {
  let done = Promise.resolve();
  withRecording((recording) => {
    const clock = new ManualClock();
    const names = Array.from({ length: 200 }, (_, at) => `set/f${at}`);
    recording.run(600, (second) => {
      if (second % 10 === 0) { for (const endpoint of names) recording.request({ endpoint }); }
    });
    const past = new Past({
      clock,
      sources: { ingest: recording.ingest, history: recording.history },
      sets: () => ["set", "new"],
      replicasAt: (name, atMs) => name === "set" ? { ready: 1, wanted: atMs - startMs } : undefined,
    });
    // The store must stay open until all is answered.
    const { store } = recording;
    const close = store.close;
    store.close = () => {};
    done = work(past, clock, recording.nowMs).finally(() => close());
  });
  return done;
}

Deno.test("200 endpoints are told of in slices with pauses between, each with its figures", async () => {
  await withPast(async (past, clock, toMs) => {
    let isDone = false;
    const asked = past.describe({ fromMs: startMs, toMs }).finally(() => isDone = true);
    let pauses = 0;
    for (; !isDone && pauses < 100; pauses++) {
      await settle();
      assert.ok(clock.pendingTimers <= 1);
      clock.advance(5);
    }
    // 60 samples of each of 200 endpoints, 2000 at once.
    assert.ok(pauses >= 6, `${pauses} pauses`);
    const { endpoints, replicaSets } = await asked;
    assert.deepEqual(endpoints.length, 200);
    assert.ok(endpoints.every(({ requestsPerSecond }) => requestsPerSecond === 0.1));
    assert.deepEqual(replicaSets, [{ name: "set", ready: 1, wanted: toMs - startMs }]);
  });
});

Deno.test("questions wait for each other, and too many are refused", async () => {
  await withPast(async (past, clock, toMs) => {
    const span = { fromMs: startMs, toMs };
    await rejectsWith(
      () => past.describe({ fromMs: 1, toMs: 1 }),
      "invalid_request",
      "fromMs must be before",
    );
    const asked = Array.from({ length: limits.pastQuestionsMax }, () => past.describe(span));
    await rejectsWith(() => past.describe(span), "queue_full", "At most 20 questions");
    let answered = 0;
    for (const each of asked) each.then(() => answered++);
    for (let at = 0; answered < asked.length && at < 1000; at++) {
      await settle();
      assert.ok(clock.pendingTimers <= 1, "only one is worked on");
      clock.advance(5);
    }
    assert.equal(answered, limits.pastQuestionsMax);
    const last = past.describe({ fromMs: startMs, toMs: startMs + 10_000 });
    await settle();
    assert.equal((await last).endpoints.length, 200);
  });
});

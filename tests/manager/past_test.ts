/** The question for a past time: in slices, one after the other, a bounded number of them. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { Past } from "../../lib/manager/past.ts";
import type { PastRollout } from "../../lib/store/rollout_history.ts";
import { startMs, withRecording } from "../metrics/support.ts";
import { ManualClock } from "../support/manual_clock.ts";
import { rejectsWith } from "../security/rejects_with.ts";

/** Lets what waits for promises go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

const agents = Array.from({ length: 60 }, (_, at) => `pi-${at}`);
const rollouts = new Map<string, PastRollout[]>();

/** Waits for an answer; between its slices time passes by hand. */
async function inSlices<View>(
  asked: Promise<View>,
  clock: ManualClock,
): Promise<{ view: View; pauses: number }> {
  let isDone = false;
  const answer = asked.finally(() => isDone = true);
  let pauses = 0;
  for (; !isDone && pauses < 100; pauses++) {
    await settle();
    assert.ok(clock.pendingTimers <= 1);
    clock.advance(5);
  }
  return { view: await answer, pauses };
}

function withPast(work: (past: Past, clock: ManualClock, toMs: number) => Promise<void>): Promise<void> {
  let done = Promise.resolve();
  withRecording((recording) => {
    const clock = new ManualClock();
    const names = Array.from({ length: 200 }, (_, at) => `set/f${at}`);
    recording.run(600, (second) => {
      if (second % 10 === 0) { for (const endpoint of names) recording.request({ endpoint }); }
      for (const agent of agents) recording.telemetry(agent, 0.5);
    });
    const past = new Past({
      clock,
      sources: { ingest: recording.ingest, history: recording.history },
      sets: () => ["set", ...rollouts.keys()],
      replicasAt: (name, atMs) => name === "set" ? { ready: 1, wanted: atMs - startMs } : undefined,
      rollouts: (name) => rollouts.get(name) ?? [],
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
    const { view: { endpoints }, pauses } = await inSlices(past.endpoints({ fromMs: startMs, toMs }), clock);
    // 60 samples of each of 200 endpoints, 2000 at once.
    assert.ok(pauses >= 6, `${pauses} pauses`);
    assert.deepEqual(endpoints.length, 200);
    assert.ok(endpoints.every(({ requestsPerSecond }) => requestsPerSecond === 0.1));
  });
});

Deno.test("all agents are told of, more than a chart has lines, a few at once", async () => {
  await withPast(async (past, clock, toMs) => {
    const { view: { agents: told, replicaSets }, pauses } = await inSlices(past.at(toMs), clock);
    assert.ok(pauses >= agents.length / 5, `${pauses} pauses`);
    assert.deepEqual(told.map(({ name }) => name).sort(), [...agents].sort());
    assert.ok(told.every(({ cpu }) => cpu === 0.5));
    assert.deepEqual(replicaSets, [{ name: "set", ready: 1, wanted: toMs - startMs, queued: 0 }]);
  });
});

Deno.test("a set has the revision that its rollouts say was in force; none exists before its first", async () => {
  await withPast(async (past, clock, toMs) => {
    const rollout = (change: Partial<PastRollout>): PastRollout => ({
      ...{ replicaSet: "images", fromRevision: 1, toRevision: 2, version: "1.1.0", state: "done" },
      ...{ startedAtMs: toMs - 60_000, endedAtMs: toMs - 50_000, ...change },
    });
    const setThen = async (kept: PastRollout[]) => {
      rollouts.set("images", kept);
      const { view } = await inSlices(past.at(toMs), clock).finally(() => rollouts.clear());
      return view.replicaSets.find(({ name }) => name === "images");
    };
    const images = { name: "images", queued: 0 };
    assert.deepEqual(await setThen([rollout({})]), { ...images, revision: 2, version: "1.1.0" });
    const first = rollout({ fromRevision: 0, toRevision: 1, version: "1.0.0", startedAtMs: toMs - 90_000 });
    const one = { ...images, revision: 1, version: "1.0.0" };
    assert.deepEqual(await setThen([rollout({ state: "failed" }), first]), one);
    assert.deepEqual(await setThen([rollout({ state: "failed", endedAtMs: toMs + 1 }), first]), {
      ...images,
      ...{ revision: 2, version: "1.1.0" },
    });
    const later = rollout({ startedAtMs: toMs + 1000, endedAtMs: toMs + 2000 });
    assert.deepEqual(await setThen([later, first]), one);
    assert.equal(await setThen([{ ...first, startedAtMs: toMs + 1 }]), undefined, "it was deployed later");
    assert.deepEqual(
      await setThen([later]),
      { ...images, revision: 1 },
      "of what it began with no version is kept",
    );
    assert.deepEqual(await setThen([{ ...first, state: "failed" }]), images);
  });
});

Deno.test("questions wait for each other, and too many are refused", async () => {
  await withPast(async (past, clock, toMs) => {
    const span = { fromMs: startMs, toMs };
    await rejectsWith(
      () => past.endpoints({ fromMs: 1, toMs: 1 }),
      "invalid_request",
      "fromMs must be before",
    );
    const asked = Array.from({ length: limits.pastQuestionsMax }, () => past.endpoints(span));
    await rejectsWith(() => past.endpoints(span), "queue_full", "At most 20 questions");
    let answered = 0;
    for (const each of asked) each.then(() => answered++);
    for (let at = 0; answered < asked.length && at < 1000; at++) {
      await settle();
      assert.ok(clock.pendingTimers <= 1, "only one is worked on");
      clock.advance(5);
    }
    assert.equal(answered, limits.pastQuestionsMax);
    const last = past.endpoints({ fromMs: startMs, toMs: startMs + 10_000 });
    await settle();
    assert.equal((await last).endpoints.length, 200);
  });
});

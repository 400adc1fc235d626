/** The question for rollouts: asked while one may change, and at each word of another; not for what is long over. */
import assert from "node:assert/strict";
import { createPoll } from "../../dashboard/rollout_facts.js";
import type { OverviewView, PastRolloutView } from "../../lib/protocol/views.ts";

const nowMs = 1_800_000_000_000;

function overview(startedAtMs: number, state: string): OverviewView {
  const replicaSets = [{ name: "images", rollout: { startedAtMs, state } }];
  return { cluster: { atMs: nowMs }, replicaSets } as unknown as OverviewView;
}

function rollout(state: PastRolloutView["state"], endedAgoMs?: number): PastRolloutView {
  return {
    ...{ replicaSet: "images", fromRevision: 1, toRevision: 2, version: "1.1.0", state },
    startedAtMs: nowMs - 3_600_000,
    ...(endedAgoMs === undefined ? {} : { endedAtMs: nowMs - endedAgoMs }),
  };
}

/** Answers as the manager would, on a clock that is moved by hand, and counts how often it was asked. */
function serving(answer: { rollouts: PastRolloutView[]; isAway?: boolean }) {
  const real = { fetch: globalThis.fetch, now: performance.now };
  const served = {
    asked: 0,
    lastUrl: "",
    clockMs: 0,
    [Symbol.dispose]() {
      globalThis.fetch = real.fetch;
      performance.now = real.now;
    },
  };
  performance.now = () => served.clockMs;
  globalThis.fetch = ((url: string) => {
    served.asked++;
    served.lastUrl = url;
    return answer.isAway
      ? Promise.reject(new TypeError("refused"))
      : Promise.resolve(new Response(JSON.stringify({ rollouts: answer.rollouts })));
  }) as typeof fetch;
  return served;
}

async function askedOver30Seconds(answer: Parameters<typeof serving>[0]): Promise<number> {
  using manager = serving(answer);
  const poll = createPoll("images", () => {});
  for (; manager.clockMs < 30_000; manager.clockMs += 1000) await poll.update(overview(1, "done"));
  return manager.asked;
}

Deno.test("rollouts are asked for again only while one is under way or judged, or when the manager was away", async () => {
  assert.equal(await askedOver30Seconds({ rollouts: [rollout("done", 3_000_000)] }), 1);
  assert.equal(await askedOver30Seconds({ rollouts: [rollout("replaced")] }), 1);
  assert.equal(await askedOver30Seconds({ rollouts: [rollout("done", 30_000)] }), 10);
  assert.equal(await askedOver30Seconds({ rollouts: [rollout("paused")] }), 10);
  assert.equal(await askedOver30Seconds({ rollouts: [], isAway: true }), 10);
});

Deno.test("another word of the overview is worth asking at once, but never twice at a time", async () => {
  using manager = serving({ rollouts: [rollout("done", 3_000_000)] });
  const poll = createPoll("images", () => {});
  await Promise.all([poll.update(overview(1, "done")), poll.update(overview(2, "progressing"))]);
  assert.equal(manager.asked, 1);
  await poll.update(overview(2, "progressing"));
  assert.equal(manager.asked, 2);
});

Deno.test("for a time in the past those until then are asked for, once, and again for another time", async () => {
  using manager = serving({ rollouts: [rollout("done", 3_000_000)] });
  let untilMs: number | undefined = 5;
  const poll = createPoll(undefined, () => {}, () => untilMs);
  const asked = async () => {
    for (let round = 0; round < 10; round++, manager.clockMs += 1000) await poll.update(overview(1, "done"));
    return [manager.asked, new URL(manager.lastUrl, "https://attic").searchParams.get("untilMs")];
  };
  assert.deepEqual(await asked(), [1, "5"]);
  untilMs = 9;
  assert.deepEqual(await asked(), [2, "9"]);
  untilMs = undefined;
  assert.deepEqual(await asked(), [3, null]);
});

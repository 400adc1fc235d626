import assert from "node:assert/strict";
import {
  type Bounds,
  closedSets,
  type ScaledSet,
  type ScaleMemory,
  startScaling,
  stepScale,
  wantedNow,
} from "../../lib/deployment/scale.ts";
import { limits } from "../../lib/limits.ts";
import type { ReplicaCount } from "../../lib/protocol/revision.ts";

/** Seconds of load on a set whose replicas have 4 slots each; what was wanted in each second. */
function play(bounds: Bounds, requests: (second: number) => number, seconds: number): number[] {
  let memory: ScaleMemory = startScaling(0);
  let current = Math.max(1, bounds.min);
  return Array.from({ length: seconds }, (_, second) => {
    const all = requests(second);
    const running = Math.min(all, current * 4);
    const load = {
      nowMs: second * 1000,
      current,
      ready: current,
      slots: current * 4,
      running,
      waiting: all - running,
    };
    const step = stepScale(memory, bounds, load);
    memory = step.memory;
    return current = step.wanted;
  });
}

function changes(wanted: number[]): number {
  return wanted.filter((count, index) => index > 0 && count !== wanted[index - 1]).length;
}

Deno.test("`stepScale()` goes up within seconds of a load, twofold at most, and not above its bound", () => {
  assert.deepEqual(play({ min: 1, max: 6 }, () => 100, 5), [2, 4, 6, 6, 6]);
  assert.deepEqual(play({ min: 1, max: 6 }, () => 2, 5), [1, 1, 1, 1, 1]);
});

Deno.test("`stepScale()` leaves replicas a part of their slots for what comes next", () => {
  assert.equal(play({ min: 1, max: 9 }, () => 8, 10).at(-1), 3);
});

Deno.test("`stepScale()` goes down only when a whole window has needed less", () => {
  const wanted = play({ min: 1, max: 6 }, (second) => second < 10 ? 16 : 2, 120);
  const window = limits.scaleDownWindowMs / 1000;
  assert.equal(wanted[9], 6);
  assert.equal(wanted[window + 8], 6);
  assert.equal(wanted.at(-1), 1);
});

Deno.test("`stepScale()` does not flap under a load that comes and goes", () => {
  for (const period of [4, 10, 20, 50]) {
    const wanted = play({ min: 1, max: 6 }, (second) => second % period < period / 2 ? 20 : 0, 600);
    assert.ok(changes(wanted.slice(30)) === 0, `period ${period}: ${wanted.join(" ")}`);
  }
});

Deno.test("`stepScale()` lets a set sleep only when it may, and only without any request", () => {
  const seconds = 400;
  assert.equal(play({ min: 0, max: 2, idleMs: 60_000 }, () => 0, seconds).at(-1), 0);
  assert.equal(
    play({ min: 0, max: 2, idleMs: 60_000 }, (second) => second % 50 === 0 ? 1 : 0, seconds).at(-1),
    1,
  );
  assert.equal(play({ min: 1, max: 2, idleMs: 60_000 }, () => 0, seconds).at(-1), 1);
  const byDefault = play({ min: 0, max: 2 }, () => 0, seconds);
  assert.equal(byDefault.indexOf(0), limits.scaleIdleMs / 1000);
});

Deno.test("`wantedNow()` is the load's number within bounds, none too, but one while a rollout must show that it works", () => {
  const rollout = { toRevision: 2, state: "done" } as const;
  const set = (replicas: ReplicaCount, change: Partial<ScaledSet> = {}): ScaledSet => (
    { current: { revision: 2, specification: { replicas } }, rollout, ...change }
  );
  const bounds = { min: 0, max: 3 };
  assert.equal(wantedNow(set(bounds, { scaledTo: 0 })), 0);
  assert.equal(wantedNow(set(bounds)), 1, "before the load has said anything");
  assert.equal(wantedNow(set({ min: 2, max: 3 }, { scaledTo: 9 })), 3);
  const rolling: Partial<ScaledSet>[] = [
    { rollout: { ...rollout, state: "progressing" } },
    { rollout: { ...rollout, state: "paused" } },
    { rollout: { ...rollout, toRevision: 1 } },
    { rollout: undefined },
  ];
  for (const change of rolling) assert.equal(wantedNow(set(bounds, { scaledTo: 0, ...change })), 1);
  const settled = { scaledTo: 0, rollout: undefined, good: { revision: 2 } };
  assert.equal(wantedNow(set(bounds, settled)), 0, "rolled out before rollouts were kept");
  assert.equal(wantedNow(set(bounds, { scaledTo: 0, rollout: { ...rollout, state: "failed" } })), 0);
  assert.equal(wantedNow(set(5, { scaledTo: 2 })), 5);
  assert.equal(wantedNow(set("all")), "all");
  assert.equal(wantedNow(set(bounds, { replicasOverride: 2, scaledTo: 0 })), 2, "a person said so");
});

Deno.test("`closedSets()` names sets that somebody wants none of, not those that sleep or have no agent", () => {
  const set = (name: string, replicas: ReplicaCount, more: Partial<ScaledSet> = {}) => ({
    ...{ name, owner: "api" as const, current: { revision: 1, specification: { replicas } } },
    ...more,
  });
  const closed = closedSets([
    set("scaled", 3, { replicasOverride: 0 }),
    { ...set("written", 0), owner: "file" as const },
    set("asleep", { min: 0, max: 2 }, { scaledTo: 0 }),
    set("silenced", { min: 0, max: 2 }, { replicasOverride: 0 }),
    set("everywhere", "all"),
    set("woken", 0, { replicasOverride: 1 }),
  ]);
  assert.deepEqual([...closed], [
    ["scaled", "scaled is scaled to 0 replicas; `client scale scaled 1` changes that"],
    ["written", "written is scaled to 0 replicas; `replicas` in the configuration file changes that"],
    ["silenced", "silenced is scaled to 0 replicas; `client scale silenced 1` changes that"],
  ]);
});

/** What counts as progress of a rollout, and which time for its deadline. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { World, worldOf } from "./world.ts";

const deadlineMs = 60_000;

/** One agent works on revision 2, which loads for ever. */
function createWorld(): World {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  world.endless.add(`a/${world.deploy("a", 1)}`);
  world.step();
  assert.equal(world.layout, "one: a@1 a@2");
  return world;
}

function stateAfter(world: World, ms: number): string {
  world.nowMs += ms;
  return world.step().rollouts.get("a")!.state;
}

/** Lost for a while; what it had loaded is still there. */
function goAway(world: World, ms: number): void {
  world.lose("one");
  world.step();
  if (ms >= limits.lostGraceMs) stateAfter(world, limits.lostGraceMs);
  world.nowMs += Math.max(ms - limits.lostGraceMs, Math.min(ms, limits.lostGraceMs - 1));
  world.return("one");
  world.step();
}

Deno.test("`stepDeployments()` fails a rollout without progress at its deadline", () => {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  world.deploy("a", 1);
  const started = world.step();
  assert.equal(started.wakeAtMs, world.nowMs + 60_000);
  world.nowMs = started.wakeAtMs! - 1;
  assert.equal(world.step().rollouts.get("a")!.state, "progressing");
  world.nowMs += 1;
  const failed = world.step();
  assert.equal(failed.rollouts.get("a")!.reason, "No progress for 60000 ms (one: loading)");
  assert.equal(world.layout, "one: a@1");
});

Deno.test("a rollout has all of its deadline again when an agent is back that has a new replica to start", () => {
  for (const awayMs of [5000, limits.lostGraceMs, 24 * 3_600_000]) {
    const world = createWorld();
    assert.equal(stateAfter(world, deadlineMs - 1), "progressing");
    goAway(world, awayMs);
    assert.equal(world.sets.get("a")!.rollout!.state, "progressing", `back after ${awayMs} ms`);
    assert.equal(world.last!.wakeAtMs, world.nowMs + deadlineMs);
    assert.equal(stateAfter(world, deadlineMs - 1), "progressing");
    assert.equal(stateAfter(world, 1), "failed");
    assert.match(world.events.at(-1)!.message, /No progress for 60000 ms \(one: loading\)/);
  }
});

Deno.test("an agent that comes and goes keeps no rollout from its end: its return counts once, its absences don't", () => {
  const world = createWorld();
  goAway(world, 5000);
  for (const awayMs of [5000, 3_600_000, 5000]) {
    assert.equal(stateAfter(world, 19_000), "progressing");
    goAway(world, awayMs);
    assert.equal(world.sets.get("a")!.rollout!.state, "progressing");
  }
  assert.equal(world.last!.wakeAtMs, world.nowMs + 3000);
  assert.equal(stateAfter(world, 2999), "progressing");
  assert.equal(stateAfter(world, 1), "failed");
});

Deno.test("a new replica makes each return count again", () => {
  const world = createWorld();
  world.addMachine("two");
  world.sets.get("a")!.replicas = 2;
  goAway(world, 5000);
  assert.equal(world.layout, "one: a@1 a@2; two: a@2");
  world.endless.clear();
  world.load("two");
  world.endless.add("a/2");
  assert.equal(stateAfter(world, 2000), "progressing");
  assert.equal(world.last!.rollouts.get("a")!.ready, 1);
  assert.equal(stateAfter(world, 50_000), "progressing");
  goAway(world, 5000);
  assert.equal(world.last!.wakeAtMs, world.nowMs + deadlineMs);
});

Deno.test("a rollout says which agents it waits for, and fails by no deadline meanwhile", () => {
  const world = createWorld();
  stateAfter(world, deadlineMs - 1);
  world.lose("one");
  assert.equal(stateAfter(world, 5000), "progressing");
  assert.equal(world.last!.pending.get("a"), "Waiting for one (lost) to come back");
  assert.equal(stateAfter(world, 5000), "progressing");
  assert.equal(world.last!.pending.get("a"), "1 of 1 replica has no agent: one is lost");
  world.return("one");
  assert.equal(stateAfter(world, 0), "progressing");
  assert.equal(world.last!.pending.get("a"), undefined);
});

Deno.test("an agent that never says a word about its new replica keeps no rollout from failing", () => {
  const world = new World();
  const one = world.addMachine("one");
  world.deploy("a", 1);
  const { wakeAtMs } = world.step();
  assert.equal(wakeAtMs, world.nowMs + deadlineMs);
  one.reports = [];
  one.running.clear();
  assert.equal(stateAfter(world, deadlineMs), "failed");
  assert.match(world.events.at(-1)!.message, /No progress for 60000 ms \(one: pending\)/);
});

Deno.test("what a replica took to start again before a canary's stage was held does not count for what comes after", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 2);
  world.settle();
  const rollout = { maxUnavailable: 1, maxSurge: 1, minReadyMs: 0, deadlineMs };
  const steps = [{ weight: 50, holdMs: 24 * 3_600_000 }];
  world.deploy("a", 2, { rollout: { ...rollout, strategy: "canary", steps } });
  world.step();
  world.load("one");
  world.step();
  const { running } = world.machines.get("one")!;
  for (let crash = 0; crash < 4; crash++) {
    const { readySinceMs: _since, ...crashed } = running.get("a/2")!;
    running.set("a/2", { ...crashed, state: "loading" });
    world.return("one");
    world.machines.get("one")!.healthSinceMs = 0;
    world.step();
    assert.equal(stateAfter(world, 20_000), "progressing");
    world.load("one");
    world.step();
    assert.equal(stateAfter(world, 10_000), "progressing");
  }
});

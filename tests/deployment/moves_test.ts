import assert from "node:assert/strict";
import { advanceCanary } from "../../lib/deployment/canary.ts";
import { limits } from "../../lib/limits.ts";
import { World, worldOf } from "./world.ts";

const MiB = 2 ** 20;

/** Agents that serve `images` now, by revision. */
function serving(world: World): string {
  return [...world.machines.values()].flatMap(({ name, reports }) =>
    reports.filter(({ state }) => state === "ready").map(({ revision }) => `${name}@${revision}`)
  ).sort().join(" ");
}

Deno.test("a drained agent's replica ends only when another serves in its place", () => {
  const world = worldOf("one", "two", "three");
  world.deploy("images", 2);
  world.settle();
  assert.equal(world.layout, "one: images@1; three: images@1");
  world.machines.get("one")!.draining = true;
  world.step();
  assert.equal(world.layout, "one: images@1; three: images@1; two: images@1");
  world.settle();
  assert.equal(world.layout, "three: images@1; two: images@1");
});

Deno.test("with nobody to take over, what a drained agent runs just ends, and says so", () => {
  const world = worldOf("one");
  world.deploy("images", 1);
  world.settle();
  world.machines.get("one")!.draining = true;
  const step = world.settle();
  assert.equal(world.layout, "");
  assert.equal(step.pending.get("images"), "1 of 1 replica has no agent: one is drained");
});

Deno.test("a canary runs on its share of the replicas until its stage is over, then goes on", () => {
  const world = worldOf("one", "two", "three", "four");
  world.deploy("images", 4);
  world.settle();
  const steps = [{ weight: 25, holdMs: 20_000 }, { weight: 50, holdMs: 20_000 }];
  const policy = { maxUnavailable: 1, maxSurge: 1, minReadyMs: 1000, deadlineMs: 60_000 };
  world.deploy("images", 4, { rollout: { ...policy, strategy: "canary", steps } });
  const shares = new Map<number | undefined, number>();
  for (let round = 0; round < 400; round++) {
    const step = world.step();
    const record = step.rollouts.get("images")!;
    if (record.state === "done") break;
    for (const name of world.machines.keys()) world.load(name);
    shares.set(record.step, serving(world).split(" ").filter((each) => each.endsWith("@2")).length);
    world.nowMs = Math.min(step.wakeAtMs ?? Infinity, world.nowMs + 500);
  }
  assert.deepEqual([shares.get(0), shares.get(1)], [1, 2]);
  assert.equal(serving(world), "four@2 one@2 three@2 two@2");
  assert.equal(world.events.filter(({ kind }) => kind === "canary_advanced").length, 2);
});

Deno.test("a canary's stage is over at the moment that it is woken for, whatever rounding makes of it", () => {
  const sinceMs = 8030.727036781817;
  assert.ok(sinceMs + 2000 - sinceMs < 2000);
  const policy = {
    strategy: "canary" as const,
    steps: [{ weight: 50, holdMs: 2000 }],
    maxUnavailable: 1,
    maxSurge: 1,
    minReadyMs: 0,
    deadlineMs: 8000,
  };
  const record = {
    replicaSet: "images",
    fromRevision: 1,
    toRevision: 2,
    state: "progressing" as const,
    ready: 1,
    total: 2,
    startedAtMs: 0,
    step: 0,
    stepSinceMs: sinceMs,
  };
  const held = advanceCanary(record, policy, true, sinceMs + 1999);
  assert.equal(held.dueAtMs, sinceMs + 2000);
  assert.equal(advanceCanary(record, policy, true, held.dueAtMs!).record.step, 1);
});

Deno.test("a canary of a single replica runs beside the old one", () => {
  const world = worldOf("one");
  world.deploy("images", 1);
  world.settle();
  const policy = { maxUnavailable: 1, maxSurge: 1, minReadyMs: 1000, deadlineMs: 60_000 };
  const steps = [{ weight: 10, holdMs: 60_000 }];
  world.deploy("images", 1, { rollout: { ...policy, strategy: "canary", steps } });
  world.step();
  world.load("one");
  world.nowMs += 30_000;
  world.step();
  assert.equal(world.layout, "one: images@1 images@2");
});

/** Two replicas on three agents, the second revision about to be a canary on one of them. */
function beginCanary(): World {
  const world = worldOf("one", "two", "three");
  const policy = { maxUnavailable: 0, maxSurge: 1, minReadyMs: 1000, deadlineMs: 60_000 };
  world.deploy("images", 2, { rollout: policy });
  world.settle();
  const steps = [{ weight: 10, holdMs: 600_000 }];
  world.deploy("images", 2, { rollout: { ...policy, strategy: "canary", steps } });
  world.step();
  return world;
}

/** The first agent that shall run the revision. */
function holderOf(world: World, wanted: number): string {
  return [...world.assigned].find(([, list]) => list.some(({ revision }) => revision === wanted))![0];
}

Deno.test("a canary's agent that comes back when another has its place serves on until there is enough", () => {
  const world = beginCanary();
  for (const ms of [0, 0, 1000]) settleFor(world, ms);
  const canary = holderOf(world, 2);
  world.lose(canary);
  for (const ms of [limits.lostGraceMs, 0, 1000]) settleFor(world, ms);
  const stand = holderOf(world, 2);
  world.lose([...world.machines.keys()].find((name) => name !== canary && name !== stand)!);
  settleFor(world, limits.lostGraceMs);
  // The stage is one replica's, and of two the one with more room is kept.
  world.machines.get(stand)!.cores = 64;
  world.return(canary);
  world.step();
  assert.ok(world.assigned.get(canary)!.some(({ revision }) => revision === 2), world.layout);
});

Deno.test("what a canary has beside its replica leaves no other agent without one", () => {
  const world = beginCanary();
  const canary = holderOf(world, 2);
  for (const name of world.machines.keys()) if (name !== canary) world.lose(name);
  for (const ms of [limits.lostGraceMs, 1000]) settleFor(world, ms);
  assert.equal(world.layout, `${canary}: images@1 images@2`, "it is compared with something");
  const other = [...world.machines.keys()].find((name) => name !== canary)!;
  world.return(other, true);
  world.step();
  // It could not be given it anew: it keeps it.
  world.machines.get(other)!.cordoned = true;
  for (const ms of [0, 0]) settleFor(world, ms);
  assert.match(world.layout, new RegExp(`${other}: images@1(;|$)`));
});

Deno.test("after a restart without surge, what serves alone on its agent stays before what serves beside", () => {
  const world = new World();
  const rollout = { maxUnavailable: 1, maxSurge: 0, minReadyMs: 1000, deadlineMs: 60_000 };
  // Those with much room come first, wherever one is taken away.
  for (const name of ["one", "two"]) world.addMachine(name, { cores: 16 });
  for (const name of ["three", "four"]) world.addMachine(name, { cores: 1 });
  world.deploy("images", 4, { rollout });
  world.settle();
  world.deploy("images", 4, { rollout });
  world.step();
  for (const name of ["one", "two", "three", "four"]) {
    const { running } = world.machines.get(name)!;
    running.clear();
    const isBeside = name === "one" || name === "two";
    for (const revision of isBeside ? [1, 2] : [2]) {
      running.set(`images/${revision}`, {
        handle: revision,
        replicaSet: "images",
        revision,
        state: "ready",
        slots: 4,
        endpoints: [],
        readySinceMs: world.nowMs,
      });
    }
    world.return(name);
  }
  world.assigned = new Map();
  world.step();
  assert.equal(world.layout, "four: images@2; one: images@1; three: images@2; two: images@1");
});

/** Lets time pass, then loads and plans once. */
function settleFor(world: World, ms: number): void {
  world.nowMs += ms;
  world.step();
  for (const name of world.machines.keys()) world.load(name);
  world.step();
}

Deno.test("a paused rollout stays where it is, and lost replicas are replaced by the good revision", () => {
  const world = worldOf("one", "two", "three");
  world.deploy("images", 2);
  world.settle();
  world.deploy("images", 2);
  world.step();
  world.pause("images");
  for (const name of world.machines.keys()) world.load(name);
  world.nowMs += 10_000;
  world.settle();
  const before = world.layout;
  assert.match(before, /images@1.*images@2|images@2.*images@1/);
  world.lose(holderOf(world, 1));
  world.nowMs += limits.lostGraceMs;
  world.settle();
  const revisions = [...world.assigned.values()].flat().map(({ revision }) => revision).sort();
  assert.deepEqual(revisions, [1, 2]);
  world.pause("images");
  world.settle();
  assert.equal(world.last!.rollouts.get("images")!.state, "done");
});

Deno.test("the time a rollout is paused does not count for its deadline, also where nothing happens meanwhile", () => {
  const world = worldOf("one");
  world.deploy("images", 1);
  world.settle();
  world.deploy("images", 1, {
    rollout: { maxUnavailable: 0, maxSurge: 1, minReadyMs: 0, deadlineMs: 60_000 },
  });
  world.step();
  assert.equal(world.layout, "one: images@1 images@2");
  world.nowMs += 50_000;
  world.pause("images");
  world.step();
  world.nowMs += 3_600_000;
  world.pause("images");
  const resumed = world.step();
  assert.equal(resumed.rollouts.get("images")!.state, "progressing");
  assert.equal(resumed.wakeAtMs, world.nowMs + 60_000);
  world.nowMs += 59_999;
  assert.equal(world.step().rollouts.get("images")!.state, "progressing");
  world.nowMs += 1;
  assert.match(world.step().rollouts.get("images")!.reason!, /^No progress for 60000 ms \(one: loading\)$/);
});

Deno.test("a paused rollout to all agents gives each open one a replica beside those on cordoned ones", () => {
  const world = worldOf("one", "two", "three");
  world.deploy("images", "all");
  world.settle();
  world.deploy("images", "all");
  world.step();
  world.pause("images");
  for (const name of world.machines.keys()) world.load(name);
  world.machines.get("three")!.cordoned = true;
  world.addMachine("four");
  world.settle();
  for (const name of world.machines.keys()) assert.match(serving(world), new RegExp(`${name}@`));
});

Deno.test("a revision that turns out bad after it was done is taken back to the one before", () => {
  const world = worldOf("one", "two");
  world.deploy("images", 2);
  world.settle();
  world.deploy("images", 2);
  world.settle();
  assert.equal(world.sets.get("images")!.good, 2);
  world.sets.get("images")!.objection = 2;
  world.settle();
  assert.equal(world.layout, "one: images@1; two: images@1");
  assert.match(
    world.events.at(-1)!.message,
    /Revision 2 of images failed, going back to revision 1: it answers badly/,
  );
});

Deno.test("an undecided revision's replicas stand in for no others", () => {
  const world = worldOf("one", "two");
  world.deploy("images", 2);
  world.settle();
  world.deploy("images", 2);
  world.sets.get("images")!.isUndecided = true;
  world.settle();
  assert.equal(serving(world).split(" ").filter((each) => each.endsWith("@1")).length, 2);
  world.sets.get("images")!.isUndecided = false;
  world.settle();
  assert.equal(serving(world), "one@2 two@2");
});

Deno.test("replicas go only where their memory and cores are left, and the reason names both", () => {
  const world = new World();
  world.addMachine("small", { memoryBytes: 512 * MiB, cores: 1 });
  world.addMachine("large", { memoryBytes: 4096 * MiB, cores: 4 });
  world.deploy("base", "all", { memoryMb: 300 });
  world.settle();
  world.deploy("images", 2, { memoryMb: 300 });
  const step = world.settle();
  assert.equal(
    step.pending.get("images"),
    "1 of 2 replicas has no agent: small has 212 MB of memory left (300 are needed)",
  );
  world.deploy("maths", 2, { cores: 2 });
  assert.match(world.settle().pending.get("maths")!, /small has 1 core left \(2 are needed\)/);
});

Deno.test("a new revision takes the memory of the one that it replaces", () => {
  const world = new World();
  world.addMachine("small", { memoryBytes: 512 * MiB });
  world.deploy("images", 1, { memoryMb: 400 });
  world.settle();
  world.deploy("images", 1, { memoryMb: 500 });
  world.settle();
  assert.equal(world.layout, "small: images@2");
});

Deno.test("replicas are spread over a label's values as evenly as can be", () => {
  const world = new World();
  for (const [name, zone] of [["a1", "attic"], ["a2", "attic"], ["a3", "attic"], ["s1", "shed"]]) {
    world.addMachine(name, { labels: { zone } });
  }
  world.deploy("images", 2, { spread: "zone" });
  world.settle();
  assert.equal(world.layout, "a1: images@1; s1: images@1");
});

Deno.test("an agent that comes back gets work again, gently, once it has been well for a while", () => {
  const world = worldOf("one", "two");
  for (const name of ["a", "b", "c", "d"]) world.deploy(name, 1);
  world.settle();
  world.lose("two");
  world.nowMs += limits.lostGraceMs;
  world.settle();
  assert.equal(world.layout, "one: a@1 b@1 c@1 d@1");
  world.return("two", true);
  world.machines.get("two")!.healthSinceMs = world.nowMs;
  world.step();
  assert.equal(world.move, undefined, "it may be gone again in a moment");
  world.settle();
  assert.match(world.layout, /^one: \w@1 \w@1; two: \w@1 \w@1$/);
  assert.equal(world.events.filter(({ kind }) => kind === "replica_moved").length, 2);
});

Deno.test("while a rollout is held, the old revision takes the places of what was lost, whatever the new one does", () => {
  for (const maxSurge of [1, 0]) {
    const world = worldOf("one", "two", "three", "four");
    const rollout = { maxUnavailable: 1, maxSurge, minReadyMs: 0, deadlineMs: 60_000 };
    world.deploy("images", 3, { rollout });
    world.settle();
    world.endless.add(`images/${world.deploy("images", 3, { rollout })}`);
    world.step();
    // A new one is on its way and never gets ready; then one of those that serve is lost, and another is on its way.
    const old = [...world.assigned].filter(([, list]) => list.length === 1 && list[0].revision === 1).map((
      [name],
    ) => name);
    world.lose(old[0]);
    world.nowMs += limits.lostGraceMs;
    world.step();
    const ofRevision = (wanted: number) =>
      [...world.assigned.values()].flat().filter(({ revision }) => revision === wanted).length;
    assert.equal(ofRevision(2), 2, world.layout);
    world.pause("images");
    world.step();
    assert.equal(ofRevision(1), maxSurge === 1 ? 3 : 2, world.layout);
    const layout = world.layout;
    for (const name of world.machines.keys()) world.load(name);
    world.step();
    assert.equal(world.layout, layout, "it stays so");
    world.endless.clear();
    for (const name of world.machines.keys()) world.load(name);
    world.step();
    assert.equal(world.layout.split("images").length - 1, 3, `as many as are wanted: ${world.layout}`);
  }
});

Deno.test("while a rollout is held, an agent can be drained: others take over what it runs, in the good revision", () => {
  for (const maxSurge of [1, 0]) {
    const world = worldOf("one", "two", "three");
    const rollout = { maxUnavailable: 1, maxSurge, minReadyMs: 0, deadlineMs: 60_000 };
    world.deploy("images", 2, { rollout });
    world.settle();
    world.deploy("images", 2, { rollout });
    world.step();
    world.pause("images");
    world.settle();
    assert.match(world.layout, /images@1.*images@2|images@2.*images@1/);
    const leaving = holderOf(world, 1);
    const machine = world.machines.get(leaving)!;
    machine.cordoned = machine.draining = true;
    world.settle();
    assert.equal(serving(world).split(" ").length, 2, world.layout);
    assert.equal(world.assigned.get(leaving)!.length, 0, `${leaving} is empty: ${world.layout}`);
    assert.notEqual(holderOf(world, 1), leaving);
  }
});

import assert from "node:assert/strict";
import { stepDeployments } from "../../lib/deployment/plan.ts";
import { limits } from "../../lib/limits.ts";
import { World, worldOf } from "./world.ts";

function kinds(world: World): string[] {
  return world.events.map(({ kind }) => kind);
}

Deno.test("`stepDeployments()` gives new replicas to the agents with the fewest per core", () => {
  const world = new World();
  world.addMachine("big", { cores: 8 });
  world.addMachine("small", { cores: 2 });
  world.deploy("a", 1);
  world.deploy("b", 1);
  world.deploy("c", 1);
  world.settle();
  assert.equal(world.layout, "big: a@1 b@1; small: c@1");
});

Deno.test("`stepDeployments()` never puts two replicas of one set on one agent", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 3);
  const step = world.settle();
  assert.equal(world.layout, "one: a@1; two: a@1");
  assert.equal(
    step.pending.get("a"),
    "1 of 3 replicas has no agent: every agent runs one already",
  );
});

Deno.test("`stepDeployments()` waits for agents without failing, then places and finishes", () => {
  const world = new World();
  world.deploy("a", 1);
  assert.equal(world.step().pending.get("a"), "1 of 1 replica has no agent: none has joined yet");
  world.nowMs += 24 * 3600_000;
  assert.equal(world.step().rollouts.get("a")?.state, "progressing");
  world.addMachine("pi");
  world.settle();
  assert.equal(world.sets.get("a")!.rollout?.state, "done");
  assert.deepEqual(kinds(world), ["rollout_started", "rollout_done"]);
});

Deno.test("`stepDeployments()` rolls out one replica at a time, the new next to the old", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 2);
  world.settle();
  world.deploy("a", 2);
  world.step();
  assert.equal(world.layout, "one: a@1 a@2; two: a@1");
  world.load("one");
  const waiting = world.step();
  assert.equal(world.layout, "one: a@1 a@2; two: a@1", "not before minReadyMs is over");
  assert.equal(waiting.wakeAtMs, world.nowMs + 2000);
  world.nowMs += 2000;
  world.step();
  assert.equal(world.layout, "one: a@2; two: a@1 a@2");
  assert.equal(world.sets.get("a")!.rollout?.ready, 1);
  world.settle();
  assert.equal(world.layout, "one: a@2; two: a@2");
  const record = world.sets.get("a")!.rollout!;
  assert.deepEqual([record.state, record.fromRevision, record.toRevision, record.ready, record.total], [
    "done",
    1,
    2,
    2,
    2,
  ]);
});

Deno.test("`stepDeployments()` without surge takes an old replica away first, within maxUnavailable", () => {
  const world = worldOf("one", "two", "three");
  const rollout = { maxSurge: 0, maxUnavailable: 1, minReadyMs: 0, deadlineMs: 60_000 };
  world.deploy("a", 3, { rollout });
  world.settle();
  world.deploy("a", 3, { rollout });
  world.step();
  assert.equal(world.layout, "one: a@2; three: a@1; two: a@1");
  world.step();
  assert.equal(world.layout, "one: a@2; three: a@1; two: a@1", "not the next before the first serves");
  world.settle();
  assert.equal(world.layout, "one: a@2; three: a@2; two: a@2");
});

Deno.test("`stepDeployments()` goes back by itself when a new replica fails, and says why", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 2);
  world.settle();
  world.broken.add(`a/${world.deploy("a", 2)}`);
  const step = world.settle();
  assert.equal(world.layout, "one: a@1; two: a@1");
  const record = step.rollouts.get("a")!;
  assert.deepEqual([record.state, record.reason], ["failed", "one: it throws"]);
  const event = world.events.at(-1)!;
  assert.deepEqual([event.level, event.kind, event.subject], ["error", "rollout_failed", "a"]);
  assert.equal(event.message, "Revision 2 of a failed, going back to revision 1: one: it throws");
  assert.equal(world.sets.get("a")!.good, 1);
});

Deno.test("`stepDeployments()` restores old replicas when a later agent fails", () => {
  const world = worldOf("one", "two", "three");
  world.deploy("a", 3);
  world.settle();
  world.deploy("a", 3);
  world.step();
  world.load("one");
  world.nowMs += 2000;
  world.step();
  assert.equal(world.layout, "one: a@2; three: a@1 a@2; two: a@1");
  world.broken.add("a/2");
  world.load("three");
  world.step();
  assert.equal(
    world.layout,
    "one: a@1 a@2; three: a@1; two: a@1",
    "what serves goes on until the old is back",
  );
  world.settle();
  assert.equal(world.layout, "one: a@1; three: a@1; two: a@1");
});

Deno.test("`stepDeployments()` leaves a failed first revision alone until something new is deployed", () => {
  const world = worldOf("one", "two");
  world.broken.add(`a/${world.deploy("a", 2)}`);
  const step = world.settle();
  assert.equal(world.layout, "");
  assert.equal(step.rollouts.get("a")!.state, "failed");
  assert.match(step.pending.get("a")!, /^Revision 1 failed and no earlier one is known to be good/);
  world.nowMs += 3600_000;
  world.settle();
  assert.equal(world.layout, "");
  world.deploy("a", 2);
  world.settle();
  assert.equal(world.layout, "one: a@2; two: a@2");
});

Deno.test("`stepDeployments()` lets what serves of a failed first revision go on, within what is wanted", () => {
  const world = worldOf("one", "two", "three");
  world.deploy("a", 3);
  world.step();
  world.load("one");
  world.load("two");
  world.broken.add("a/1");
  world.load("three");
  world.step();
  assert.equal(world.layout, "one: a@1; two: a@1");
  world.sets.get("a")!.replicas = 1;
  world.step();
  assert.equal(world.layout, "one: a@1");
});

Deno.test("`stepDeployments()` turns to a newer revision in the middle of a rollout", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 2);
  world.settle();
  world.deploy("a", 2);
  world.step();
  world.deploy("a", 2);
  world.step();
  assert.equal(world.layout, "one: a@1 a@3; two: a@1");
  world.settle();
  assert.equal(world.layout, "one: a@3; two: a@3");
  assert.equal(world.sets.get("a")!.rollout!.fromRevision, 1);
});

Deno.test("`stepDeployments()` keeps a lost agent's replica for a grace, then gives it to another, once", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 1);
  world.settle();
  world.lose("one");
  const lost = world.step();
  assert.equal(world.layout, "one: a@1");
  assert.equal(lost.wakeAtMs, world.nowMs + limits.lostGraceMs);
  world.nowMs = lost.wakeAtMs!;
  world.step();
  assert.equal(world.layout, "two: a@1");
  assert.equal(world.events.at(-1)!.message, "one has been lost for 10 s; others take over a");
  const events = world.events.length;
  world.step();
  assert.equal(world.events.length, events);
});

Deno.test("`stepDeployments()` takes a returning agent's replica back as it is, within and after the grace", () => {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  const loaded = world.machines.get("one")!.running.get("a/1");
  for (const awayMs of [5000, 60_000]) {
    world.lose("one");
    world.nowMs += awayMs;
    world.step();
    world.return("one");
    world.step();
    assert.equal(world.layout, "one: a@1");
    assert.equal(world.machines.get("one")!.running.get("a/1"), loaded, "never unloaded");
  }
});

Deno.test("`stepDeployments()` leaves a suspect agent what it has and gives it nothing new", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 2);
  world.settle();
  world.machines.get("one")!.health = "suspect";
  world.deploy("b", 2);
  world.step();
  assert.equal(world.layout, "one: a@1; two: a@1 b@1");
});

Deno.test("`stepDeployments()` after a restart believes the agents and waits for those to come", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 1);
  world.settle();
  assert.equal(world.layout, "one: a@1");
  world.assigned = new Map();
  world.placeAfterMs = world.nowMs + 5000;
  const one = world.machines.get("one")!;
  world.machines.delete("one");
  const waiting = world.step();
  assert.equal(world.layout, "");
  assert.equal(waiting.pending.get("a"), "Waiting for the agents that ran it to come back");
  assert.equal(waiting.wakeAtMs, world.placeAfterMs);
  world.machines.set("one", one);
  world.settle();
  assert.equal(world.layout, "one: a@1");
  world.machines.delete("one");
  world.settle();
  assert.equal(world.layout, "two: a@1");
});

Deno.test('`stepDeployments()` with "all" follows the agents that fit', () => {
  const world = new World();
  world.addMachine("arm", { labels: { arch: "aarch64" } });
  world.addMachine("intel", { labels: { arch: "x86_64" } });
  world.deploy("a", "all", { placement: { arch: ["aarch64", "riscv64"] } });
  world.settle();
  assert.equal(world.layout, "arm: a@1");
  world.addMachine("arm2", { labels: { arch: "aarch64" } });
  world.addMachine("resting", { labels: { arch: "aarch64" }, cordoned: true });
  world.settle();
  assert.equal(world.layout, "arm: a@1; arm2: a@1");
  world.machines.get("arm")!.cordoned = true;
  world.settle();
  assert.equal(world.layout, "arm: a@1; arm2: a@1", "a cordoned agent keeps what it runs");
});

Deno.test('`stepDeployments()` does not call "all" of no agents rolled out', () => {
  const world = new World();
  world.deploy("a", "all");
  const step = world.settle();
  assert.equal(step.rollouts.get("a")!.state, "progressing");
  assert.equal(step.pending.get("a"), "No agent can run it: none has joined yet");
});

Deno.test("`stepDeployments()` scales down what does not serve first, then where most runs", () => {
  const world = worldOf("one", "two", "three");
  world.deploy("a", 3);
  world.settle();
  world.return("two", true);
  world.sets.get("a")!.replicas = 2;
  world.step();
  assert.equal(world.layout, "one: a@1; three: a@1");
  world.load("two");
  world.deploy("b", 1, { placement: {} });
  world.settle();
  assert.equal(world.layout, "one: a@1; three: a@1; two: b@1");
  world.sets.get("a")!.replicas = 3;
  world.settle();
  world.sets.get("a")!.replicas = 2;
  world.settle();
  assert.equal(world.layout, "one: a@1; three: a@1; two: b@1");
  world.sets.get("a")!.replicas = 0;
  world.settle();
  assert.equal(world.layout, "two: b@1");
});

Deno.test("`stepDeployments()` says for each agent why it does not fit", () => {
  const world = new World();
  world.addMachine("a", { labels: { arch: "x86_64" } });
  world.addMachine("b", { labels: { arch: "aarch64" }, cordoned: true });
  world.addMachine("c", { labels: { arch: "aarch64" }, health: "lost" });
  world.addMachine("d");
  world.addMachine("e");
  world.addMachine("f");
  world.deploy("x", 1, { placement: { arch: "aarch64" } });
  assert.equal(
    world.settle().pending.get("x"),
    "1 of 1 replica has no agent: a has arch=x86_64 (aarch64 is needed), b is cordoned, c is lost, " +
      "d has no label arch (aarch64 is needed), and 2 more",
  );
});

Deno.test("`stepDeployments()` keeps old replicas where the new placement fits nobody", () => {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  world.deploy("a", 1, { placement: { zone: "moon" } });
  const step = world.settle();
  assert.equal(world.layout, "one: a@1");
  assert.equal(step.rollouts.get("a")!.state, "progressing");
  assert.match(step.pending.get("a")!, /one has no label zone \(moon is needed\)/);
});

Deno.test("`stepDeployments()` finishes with as many replicas as there are agents", () => {
  const world = worldOf("one", "two");
  world.deploy("a", 5);
  world.settle();
  world.deploy("a", 5);
  world.settle();
  assert.equal(world.layout, "one: a@2; two: a@2");
  assert.equal(world.sets.get("a")!.good, 2);
});

Deno.test("`stepDeployments()` takes away what no set names any more", () => {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  world.sets.delete("a");
  world.step();
  assert.equal(world.layout, "");
  assert.deepEqual([...world.machines.get("one")!.running.values()].map(({ state }) => state), ["stopping"]);
});

Deno.test("`stepDeployments()` has nothing to do for a revision that is known to be good", () => {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  delete world.sets.get("a")!.rollout;
  const step = stepDeployments(world.facts());
  assert.equal(step.rollouts.size, 0);
  assert.deepEqual(step.events, []);
  assert.equal(step.wakeAtMs, undefined);
});

Deno.test("`stepDeployments()` returns to an older revision as a rollout of its own", () => {
  const world = worldOf("one");
  world.deploy("a", 1);
  world.settle();
  world.deploy("a", 1);
  world.settle();
  world.sets.get("a")!.current = 1;
  world.settle();
  assert.equal(world.layout, "one: a@1");
  const record = world.sets.get("a")!.rollout!;
  assert.deepEqual([record.fromRevision, record.toRevision, record.state], [2, 1, "done"]);
});

import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { World } from "./world.ts";

/** Agents a, b, …; those in `damped` are. */
function worldOf(names: string, damped: string): World {
  const world = new World();
  for (const name of names) world.addMachine(name, { damped: damped.includes(name) });
  return world;
}

Deno.test("a damped agent is given new replicas only when nobody else can take them", () => {
  const world = worldOf("abc", "a");
  world.deploy("images", 2);
  world.settle();
  assert.equal(world.layout, "b: images@1; c: images@1");
  world.sets.get("images")!.replicas = 3;
  world.settle();
  assert.equal(world.layout, "a: images@1; b: images@1; c: images@1");
});

Deno.test("damping comes before the spread over a label", () => {
  const world = new World();
  world.addMachine("a", { labels: { zone: "attic" } });
  world.addMachine("b", { labels: { zone: "attic" } });
  world.addMachine("s", { labels: { zone: "shed" }, damped: true });
  world.deploy("images", 2, { spread: "zone" });
  world.settle();
  assert.equal(world.layout, "a: images@1; b: images@1");
});

Deno.test("with nobody but damped agents a set is placed as ever", () => {
  const world = worldOf("ab", "ab");
  world.deploy("images", 2);
  const step = world.settle();
  assert.equal(world.layout, "a: images@1; b: images@1");
  assert.equal(step.pending.size, 0);
});

Deno.test("what a damped agent runs stays, also through a rollout, and nothing is moved to it", () => {
  const world = worldOf("abc", "");
  world.deploy("images", 2);
  world.deploy("maths", 2);
  world.settle();
  const before = world.layout;
  world.machines.get("a")!.damped = true;
  world.nowMs += 10 * limits.rebalanceEveryMs;
  world.settle();
  assert.equal(world.layout, before);
  world.deploy("images", 2);
  world.settle();
  assert.equal(world.layout, before.replaceAll("images@1", "images@2"));
});

Deno.test("a move ends when the agent it goes to is damped, and none begins to a damped agent", () => {
  const world = worldOf("a", "");
  world.deploy("images", 1);
  world.deploy("maths", 1);
  world.settle();
  world.addMachine("b", { damped: true });
  world.nowMs += 10 * limits.rebalanceEveryMs;
  world.settle();
  assert.equal(world.layout, "a: images@1 maths@1");
  world.machines.get("b")!.damped = false;
  world.step();
  assert.equal(world.move?.to, "b");
  world.machines.get("b")!.damped = true;
  world.settle();
  assert.equal(world.layout, "a: images@1 maths@1");
});

Deno.test("of replicas that are too many, those on damped agents go first", () => {
  const world = worldOf("abc", "");
  world.deploy("images", 3);
  world.settle();
  world.machines.get("a")!.damped = true;
  world.sets.get("images")!.replicas = 2;
  world.settle();
  assert.equal(world.layout, "b: images@1; c: images@1");
});

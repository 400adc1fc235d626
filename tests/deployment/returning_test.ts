/** What agents bring back after others took over gets no requests before it is shown anew: it stands in for nothing. */
import assert from "node:assert/strict";
import { limits } from "../../lib/limits.ts";
import { worldOf } from "./world.ts";

Deno.test("`stepDeployments()` takes nothing that serves away for what is back and gets no requests yet", () => {
  for (const isRollout of [false, true]) {
    const world = worldOf("one", "two");
    world.deploy("a", 1);
    world.settle();
    world.lose("one");
    world.nowMs += limits.lostGraceMs;
    world.settle();
    if (isRollout) world.deploy("a", 1);
    world.return("one");
    const { assignments } = world.step();
    assert.ok(assignments.get("two")!.some(({ revision }) => revision === 1), "what serves goes on");
    assert.ok(assignments.get("one")!.every(({ revision }) => revision !== 1));
  }
});

Deno.test("`stepDeployments()` takes nothing that has just begun to serve away for what gets no requests yet", () => {
  for (const isRollout of [false, true]) {
    const world = worldOf("one", "two", "three", "four");
    const rollout = { maxSurge: 0, maxUnavailable: 1, minReadyMs: 2000, deadlineMs: 60_000 };
    world.deploy("a", 2, { rollout });
    world.settle();
    assert.equal(world.layout, "four: a@1; one: a@1");
    world.lose("one");
    world.lose("four");
    if (isRollout) world.deploy("a", 2, { rollout });
    world.nowMs += limits.lostGraceMs;
    world.step();
    for (const name of ["two", "three"]) world.load(name);
    for (const name of ["one", "four"]) world.return(name);
    world.step();
    assert.match(world.layout, isRollout ? /three: a@2; two: a@2/ : /three: a@1; two: a@1/);
  }
});

Deno.test("`stepDeployments()` makes no room by what serves, nor counts on what gets no requests yet", () => {
  const world = worldOf("one", "two");
  const rollout = { maxSurge: 0, maxUnavailable: 1, minReadyMs: 0, deadlineMs: 60_000 };
  world.deploy("a", 2, { rollout });
  world.settle();
  world.assigned = new Map();
  for (const machine of world.machines.values()) {
    machine.reports = machine.reports.map((report) => ({ ...report, unshown: true }));
  }
  world.deploy("a", 2, { rollout });
  world.step();
  assert.equal(world.layout, "one: a@1; two: a@1");
  world.step();
  assert.equal(world.layout, "one: a@2; two: a@1", "once they are shown");
});

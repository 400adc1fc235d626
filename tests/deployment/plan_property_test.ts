import assert from "node:assert/strict";
import fc from "fast-check";
import { World } from "./world.ts";

type Command =
  | { kind: "wait"; ms: number }
  | { kind: "load" | "lose" | "suspect" | "return" | "restart" | "cordon"; agent: number }
  | { kind: "scale"; replicas: number | "all" }
  | {
    kind: "deploy";
    replicas: number | "all";
    broken: boolean;
    zone: string | null;
    surge: number;
    gone: number;
  }
  | { kind: "undo" }
  | { kind: "forget" };

const replicas = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant("all" as const));
const agent = fc.nat({ max: 4 });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 6000 }) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("load" as const), agent }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom("lose", "suspect", "return", "restart", "cordon"), agent }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("scale" as const), replicas }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("deploy" as const),
      replicas,
      broken: fc.boolean(),
      zone: fc.constantFrom(null, "attic", "shed"),
      surge: fc.integer({ min: 0, max: 2 }),
      gone: fc.integer({ min: 0, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "undo" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "forget" as const }) },
);

function createWorld(agents: number): World {
  const world = new World();
  for (let index = 0; index < agents; index++) {
    world.addMachine(`pi-${index}`, {
      labels: { zone: index % 2 ? "shed" : "attic" },
      cores: 1 + (index % 3),
    });
  }
  world.deploy("images", 2);
  return world;
}

function run(world: World, given: Command): void {
  const machine = "agent" in given ? world.machines.get(`pi-${given.agent}`) : undefined;
  const set = world.sets.get("images")!;
  switch (given.kind) {
    case "wait":
      world.nowMs += given.ms;
      break;
    case "scale":
      set.replicas = given.replicas;
      break;
    case "deploy": {
      const revision = world.deploy("images", given.replicas, {
        placement: given.zone === null ? {} : { zone: given.zone },
        rollout: {
          maxSurge: given.surge,
          maxUnavailable: given.surge === 0 ? Math.max(1, given.gone) : given.gone,
          minReadyMs: 1000,
          deadlineMs: 30_000,
        },
      });
      if (given.broken) world.broken.add(`images/${revision}`);
      break;
    }
    case "undo":
      set.current = Math.max(1, set.current - 1);
      break;
    case "forget":
      // The manager starts anew: what it said is gone, what agents run is not.
      world.assigned = new Map();
      world.placeAfterMs = world.nowMs + 5000;
      break;
    default:
      if (!machine) break;
      if (given.kind === "load") world.load(machine.name);
      else if (given.kind === "lose") world.lose(machine.name);
      else if (given.kind === "cordon") machine.cordoned = !machine.cordoned;
      else if (given.kind === "suspect") {
        machine.health = machine.health === "ready" ? "suspect" : machine.health;
      } else world.return(machine.name, given.kind === "restart");
  }
}

Deno.test("`stepDeployments()` keeps its promises in every history, and comes to rest", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.array(command, { maxLength: 40 }), (agents, commands) => {
      const world = createWorld(agents);
      world.step();
      for (const given of commands) {
        run(world, given);
        world.step();
      }
      checkRest(world);
    }),
    { numRuns: 2500 },
  );
});

/** With every agent back and nothing going on, each set runs what it should on as many agents as there are. */
function checkRest(world: World): void {
  for (const machine of world.machines.values()) {
    machine.cordoned = false;
    world.return(machine.name);
  }
  const step = world.settle();
  const set = world.sets.get("images")!;
  const record = step.rollouts.get("images");
  const isCurrent = set.good === set.current;
  const target = record?.state === "failed" && record.toRevision === set.current ? set.good : set.current;
  if (target === 0) return assert.ok(step.pending.has("images"), "a set that is stuck says so");
  const { zone } = set.revisions[target - 1].specification.placement;
  const eligible = [...world.machines.values()].filter(({ labels }) => !zone || labels.zone === zone);
  const wanted = set.replicas === "all" ? eligible.length : Math.min(set.replicas, eligible.length);
  const running = [...step.assignments.values()].flat();
  const ofTarget = running.filter(({ revision }) => revision === target);
  const isBroken = world.broken.has(`images/${target}`);
  assert.equal(ofTarget.length, wanted, `${world.layout}, wanted ${wanted} of revision ${target}`);
  if (wanted > 0 && !isBroken) {
    assert.equal(
      running.length - ofTarget.length <= Math.max(0, (set.replicas as number) - wanted || 0),
      true,
    );
    for (const { name, reports } of world.machines.values()) {
      const has = step.assignments.get(name)!.some(({ revision }) => revision === target);
      const ready = reports.some(({ revision, state }) => revision === target && state === "ready");
      assert.equal(has, ready, `${name} serves what it was given`);
    }
  }
  if (isCurrent || !record) return;
  assert.ok(record.state !== "done" || record.toRevision === set.good, "what is done is good");
}

import assert from "node:assert/strict";
import fc from "fast-check";
import { fitsPlacement } from "../../lib/deployment/placement.ts";
import {
  type DeploymentFacts,
  type DeploymentStep,
  type RolloutRecord,
  stepDeployments,
} from "../../lib/deployment/plan.ts";
import type { LabelRule, RevisionSpecification } from "../../lib/protocol/revision.ts";
import { hasRoomFor, replaceMaps } from "./promises.ts";
import { type Deployed, type Machine, World } from "./world.ts";

type Command =
  | { kind: "wait"; ms: number }
  | { kind: "load" | "lose" | "suspect" | "return" | "restart" | "cordon" | "drain" | "damp"; agent: number }
  | { kind: "scale"; set: Name; replicas: number | "all" }
  | { kind: "deploy"; set: Name; replicas: number | "all"; broken: boolean; specification: Wish }
  | { kind: "undo" | "pause" | "object" | "doubt"; set: Name }
  | { kind: "forget" };

type Name = "images" | "maths";

interface Wish {
  zone: LabelRule | null;
  spread: boolean;
  memoryMb: number;
  surge: number;
  gone: number;
  canary: boolean;
}

const set = fc.constantFrom<Name>("images", "images", "maths");
const replicas = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant("all" as const));
const agent = fc.nat({ max: 4 });
const specification: fc.Arbitrary<Wish> = fc.record({
  zone: fc.constantFrom(null, null, "attic", ["attic", "shed"], { not: ["attic"] }),
  spread: fc.boolean(),
  memoryMb: fc.constantFrom(64, 64, 300, 600),
  surge: fc.integer({ min: 0, max: 2 }),
  gone: fc.integer({ min: 0, max: 2 }),
  canary: fc.boolean(),
});
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 40_000 }) }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("load" as const), agent }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("lose", "suspect", "return", "restart", "cordon", "drain", "damp"),
      agent,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("scale" as const), set, replicas }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("deploy" as const),
      set,
      replicas,
      broken: fc.boolean(),
      specification,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("undo", "pause", "object", "doubt"), set }) },
  { weight: 1, arbitrary: fc.constant({ kind: "forget" as const }) },
);

function createWorld(agents: number): World {
  const world = new World();
  for (let index = 0; index < agents; index++) {
    world.addMachine(`pi-${index}`, {
      labels: { zone: index % 2 ? "shed" : "attic" },
      cores: 1 + (index % 3),
      memoryBytes: index === 0 ? 0 : 700 * 2 ** 20,
    });
  }
  world.deploy("images", 2);
  world.deploy("maths", 1);
  return world;
}

function run(world: World, given: Command): void {
  const machine = "agent" in given ? world.machines.get(`pi-${given.agent}`) : undefined;
  const set = world.sets.get("set" in given ? given.set : "images")!;
  switch (given.kind) {
    case "wait":
      world.nowMs += given.ms;
      break;
    case "scale":
      set.replicas = given.replicas;
      break;
    case "deploy": {
      const revision = world.deploy(set.name, given.replicas, specificationOf(given.specification));
      if (given.broken) world.broken.add(`${set.name}/${revision}`);
      break;
    }
    case "undo":
      set.current = Math.max(1, set.current - 1);
      break;
    case "pause":
      world.pause(set.name);
      break;
    case "doubt":
      set.isUndecided = !set.isUndecided;
      break;
    case "object":
      set.objection = set.current;
      break;
    case "forget":
      world.forget();
      break;
    default:
      if (machine) disturb(world, machine, given.kind);
  }
}

function disturb(world: World, machine: Machine, kind: string): void {
  if (kind === "load") world.load(machine.name);
  else if (kind === "lose") world.lose(machine.name);
  else if (kind === "cordon") machine.cordoned = !machine.cordoned;
  else if (kind === "drain") machine.draining = !machine.draining;
  else if (kind === "damp") machine.damped = !machine.damped;
  else if (kind === "suspect") machine.health = machine.health === "ready" ? "suspect" : machine.health;
  else world.return(machine.name, kind === "restart");
}

function specificationOf(wish: Wish): Partial<RevisionSpecification> {
  const { zone, spread, memoryMb, canary } = wish;
  const surge = canary ? Math.max(1, wish.surge) : wish.surge;
  return {
    placement: zone === null ? {} : { zone },
    ...(spread ? { spread: "zone" } : {}),
    memoryMb,
    rollout: {
      maxSurge: surge,
      maxUnavailable: surge === 0 ? Math.max(1, wish.gone) : wish.gone,
      minReadyMs: 1000,
      deadlineMs: 30_000,
      ...(canary ? { strategy: "canary", steps: [{ weight: 30, holdMs: 5000 }] } : {}),
    },
  };
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
    { numRuns: Number(Deno.env.get("SQWISH_HISTORIES") ?? 10_000) },
  );
});

Deno.test("without surge, an agent whose old replica must go on serving holds up no other", () => {
  const world = createWorld(4);
  world.step();
  const wish: Wish = { zone: null, spread: false, memoryMb: 64, surge: 0, gone: 0, canary: false };
  const deploy = { kind: "deploy" as const, set: "images" as const, broken: false, specification: wish };
  // Revision 2 is taken for good without having run; then one agent serves 3, and another has 2, which never will.
  run(world, { ...deploy, replicas: 0, broken: true });
  world.step();
  run(world, { ...deploy, replicas: "all", specification: { ...wish, canary: true } });
  world.step();
  run(world, { kind: "load", agent: 1 });
  world.step();
  run(world, { ...deploy, replicas: 2 });
  world.step();
  assert.equal(world.layout, "pi-0: maths@1; pi-1: images@3; pi-3: images@4");
  checkRest(world);
});

/** With every agent back and nothing going on, each set runs what it should on as many agents as there are. */
function checkRest(world: World): void {
  for (const machine of world.machines.values()) {
    machine.cordoned = false;
    machine.draining = false;
    world.return(machine.name);
  }
  for (const set of world.sets.values()) delete set.isUndecided;
  const paused = world.settle();
  for (const { name } of world.sets.values()) {
    if (paused.rollouts.get(name)?.state === "paused") world.pause(name);
  }
  const step = world.settle();
  assert.ok(step.move === undefined || step.move.endedAtMs !== undefined, "no move is left undone");
  for (const set of world.sets.values()) checkSetAtRest(world, step, set);
}

function checkSetAtRest(world: World, step: DeploymentStep, set: Deployed): void {
  const { name } = set;
  const record = step.rollouts.get(name);
  const target = record?.state === "failed" && record.toRevision === set.current ? set.good : set.current;
  if (target === 0) return assert.ok(step.pending.has(name), "a set that is stuck says so");
  const { specification } = set.revisions[target - 1];
  const runs = (machine: Machine) =>
    step.assignments.get(machine.name)!.some((one) => one.replicaSet === name && one.revision === target);
  const eligible = [...world.machines.values()].filter((machine) =>
    fitsPlacement(machine.labels, specification.placement) &&
    (runs(machine) || hasRoomFor(world.facts(), machine, set.revisions[target - 1]))
  );
  const wanted = set.replicas === "all" ? eligible.length : Math.min(set.replicas, eligible.length);
  const running = [...step.assignments.values()].flat().filter(({ replicaSet }) => replicaSet === name);
  const ofTarget = running.filter(({ revision }) => revision === target);
  // What was done on no replica, and fails on its first, takes the place of nothing that serves.
  const isBroken = world.broken.has(`${name}/${target}`);
  const least = isBroken ? Math.max(0, wanted - (running.length - ofTarget.length)) : wanted;
  assert.ok(
    ofTarget.length <= wanted && ofTarget.length >= least,
    `${world.layout}, wanted ${wanted} of ${name} revision ${target}`,
  );
  const hasEnded = record === undefined || record.state === "done" || record.state === "failed";
  assert.ok(hasEnded || step.pending.has(name), "what has not ended says what it waits for");
  if (wanted > 0 && !isBroken) {
    const spare = Math.max(0, (set.replicas as number) - wanted || 0);
    assert.ok(
      running.length - ofTarget.length <= spare,
      "old replicas stay only for new ones that are missing",
    );
    for (const machine of world.machines.values()) {
      const ready = machine.reports.some((report) =>
        report.replicaSet === name && report.revision === target && report.state === "ready"
      );
      assert.equal(runs(machine), ready, `${machine.name} serves what it was given`);
    }
  }
  if (set.good === set.current || !record) return;
  assert.ok(record.state !== "done" || record.toRevision === set.good, "what is done is good");
}

const replaysMax = 1000;
const history = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.array(command, { maxLength: 40 }));

/** Facts and decisions of each step, as text. */
function play(agents: number, commands: readonly Command[]): { facts: string; step: string }[] {
  const world = createWorld(agents);
  const log: { facts: string; step: string }[] = [];
  world.onStep = (facts, step) => log.push({ facts: textOf(facts), step: textOf(step) });
  world.step();
  for (const given of commands) {
    run(world, given);
    world.step();
  }
  return log;
}

function textOf(value: unknown): string {
  return JSON.stringify(value, replaceMaps);
}

/** Facts as they were, of which nothing is shared with those that were planned from. */
function factsOf(text: string): DeploymentFacts {
  const facts = JSON.parse(text);
  return { ...facts, assigned: new Map(Object.entries(facts.assigned)) };
}

Deno.test("a replay of any prefix of a history, and of any step's facts, gives the same plan", () => {
  fc.assert(
    fc.property(history, fc.nat(), ([agents, commands], cut) => {
      const log = play(agents, commands);
      for (const [index, { facts, step }] of log.entries()) {
        assert.equal(textOf(stepDeployments(factsOf(facts))), step, `step ${index} from its facts`);
      }
      // Each command has one step after the first: a prefix of n commands ends with step n.
      const length = cut % (commands.length + 1);
      assert.deepEqual(play(agents, commands.slice(0, length)), log.slice(0, length + 1));
    }),
    { numRuns: replaysMax },
  );
});

/** What is stored of a rollout, as `store/deployments` keeps it and the controller reads it at its start. */
function storedPart(rollout: RolloutRecord): RolloutRecord {
  const { progress: _progress, readyBest: _best, stepSinceMs: _since, ...stored } = rollout;
  return { ...stored, ready: 0, total: 0 };
}

/** The facts of a manager that has just started, once all agents have told it what they run. */
function factsAfterStart(world: World): DeploymentFacts {
  const { move: _move, placeAfterMs: _after, ...facts } = world.facts();
  return {
    ...facts,
    assigned: new Map(),
    sets: facts.sets.map((set) => set.rollout ? { ...set, rollout: storedPart(set.rollout) } : set),
  };
}

Deno.test("a manager that starts anew plans what the one before it would have, from what is stored and reported", () => {
  let compared = 0;
  fc.assert(
    fc.property(history, ([agents, commands]) => {
      const world = createWorld(agents);
      world.step();
      for (const given of commands) {
        run(world, given);
        world.step();
        // What an agent that is away was told is not known after a start, nor is a move that is under way.
        const isWhole = [...world.machines.values()].every(({ health }) => health === "ready");
        const isMoving = world.move !== undefined && world.move.endedAtMs === undefined;
        if (!isWhole || isMoving || world.nowMs < (world.placeAfterMs ?? 0)) continue;
        compared++;
        const goesOn = stepDeployments(world.facts());
        const startsAnew = stepDeployments(factsAfterStart(world));
        assert.equal(textOf(startsAnew.assignments), textOf(goesOn.assignments));
        const states = (step: typeof goesOn) => [...step.rollouts.values()].map(storedPart);
        assert.deepEqual(states(startsAnew), states(goesOn));
      }
    }),
    { numRuns: replaysMax },
  );
  assert.ok(compared > replaysMax, `only ${compared} starts were compared`);
});

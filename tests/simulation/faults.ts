/** What goes wrong in a run, and its mending. Which faults, when and for how long is the seed's choice. */
import type { SimulatedAgent } from "./agent.ts";
import type { SimulatedClient } from "./client.ts";
import type { Dice } from "./dice.ts";
import type { Wire } from "./network.ts";
import { moments } from "./plan.ts";
import type { World } from "./world.ts";

type Fault = (world: World, dice: Dice) => void;

function someAgent(world: World, dice: Dice): SimulatedAgent {
  const agent = dice.pick(world.agents);
  agent.machine.struck++;
  return agent;
}

function someClient(world: World, dice: Dice): SimulatedClient {
  return dice.pick(world.clients);
}

function someWire(world: World, dice: Dice): Wire | undefined {
  if (world.network.wires.size === 0) return undefined;
  const wire = dice.pick([...world.network.wires]);
  wire.left.machine.struck++;
  return wire;
}

const faults = {
  agentCrashes(world, dice) {
    const agent = someAgent(world, dice);
    agent.crash(dice.chance(0.3));
    world.later(dice.between(50, 8000), () => agent.start());
  },
  agentLeaves(world, dice) {
    const agent = someAgent(world, dice);
    agent.leave();
    world.later(dice.between(3000, 6000), () => agent.start());
  },
  agentHasAnotherClock(world, dice) {
    const agent = someAgent(world, dice);
    agent.crash(false);
    agent.wallMs = dice.pick([0, 3_600_000, 1_790_000_000_000, 3_300_000_000_000]);
    world.later(dice.between(50, 1000), () => agent.start());
  },
  agentFreezes(world, dice) {
    const { process } = someAgent(world, dice);
    const thawAfterMs = dice.between(100, 6000);
    // What sleeps is woken by nothing but the end of its sleep.
    if (process?.state !== "running") return;
    process.freeze();
    world.later(thawAfterMs, () => process.thaw());
  },
  agentSleeps(world, dice) {
    const agent = someAgent(world, dice);
    agent.sleep();
    world.later(dice.between(500, 20_000), () => agent.wake());
  },
  agentFlaps(world, dice) {
    const agent = someAgent(world, dice);
    for (let cut = 0, atMs = 0; cut < dice.whole(3, 6); cut++) {
      world.later(atMs += dice.between(500, 2500), () => {
        agent.machine.struck++;
        for (const wire of world.network.wires) if (wire.left.machine === agent.machine) wire.cut();
      });
    }
  },
  lineIsHole(world, dice) {
    const { machine } = dice.chance(0.7) ? someAgent(world, dice) : someClient(world, dice);
    machine.isHole = true;
    world.later(dice.between(100, 8000), () => world.mend(machine));
  },
  lineIsSlow(world, dice) {
    const { machine } = dice.chance(0.7) ? someAgent(world, dice) : someClient(world, dice);
    machine.latencyMs = dice.pick([100, 500]);
    machine.bytesPerMs = dice.pick([20, 100]);
    world.later(dice.between(1000, 10_000), () => world.mend(machine));
  },
  connectionBreaks(world, dice) {
    someWire(world, dice)?.cut();
  },
  connectionHalfOpens(world, dice) {
    someWire(world, dice)?.halfOpen(dice.chance(0.5));
  },
  netSplits(world, dice) {
    world.manager.machine.isHole = true;
    world.later(dice.between(100, 5000), () => world.mend(world.manager.machine));
  },
  managerCrashes(world, dice) {
    world.manager.crash();
    world.restartManager(dice.between(50, 3000));
  },
  managerCrashesAtWrite(world, dice) {
    // Counts the moments before and after each write.
    world.manager.writesToCrash = dice.whole(1, 30);
  },
  managerStops(world, dice) {
    world.manager.stop();
    world.restartManager(dice.between(50, 3000));
  },
  managerFreezes(world, dice) {
    const { process } = world.manager;
    process?.freeze();
    world.later(dice.between(100, 5000), () => process?.thaw());
  },
  diskIsFull(world, dice) {
    world.manager.isDiskFull = true;
    world.later(dice.between(100, 4000), () => world.manager.isDiskFull = false);
  },
  clientVanishes(world, dice) {
    const client = someClient(world, dice);
    client.vanish(dice.chance(0.5));
    world.later(dice.between(50, 3000), () => client.start());
  },
  clientFreezes(world, dice) {
    const client = someClient(world, dice);
    client.freeze();
    world.later(dice.between(100, 20_000), () => client.thaw());
  },
  clientStopsReading(world, dice) {
    const client = someClient(world, dice);
    client.pauseReading();
    // More than fits between it and the manager.
    if (dice.chance(0.3)) client.flood(100, "big");
    world.later(dice.between(100, 5000), () => client.resumeReading());
  },
  clientFloods(world, dice) {
    someClient(world, dice).flood(dice.pick([50, 200]), "work");
  },
} satisfies Record<string, Fault>;

/** Those that the manager has, and all who are connected to it feel. */
const ofManager = /^(manager|net|disk)/;

export type FaultKind = keyof typeof faults;
export const faultKinds = Object.keys(faults) as FaultKind[];

/** Lets faults happen from now until it is time to heal. */
export function scheduleFaults(world: World, dice: Dice): void {
  const { plan, timeline } = world;
  if (plan.faults.length === 0) return;
  const next = (atMs: number) => {
    if (atMs >= moments.healAt) return;
    timeline.at(atMs, () => {
      const kind = dice.pick(plan.faults);
      world.trace.note("fault", kind);
      if (ofManager.test(kind)) world.manager.machine.struck++;
      (faults[kind] as Fault)(world, dice);
      next(timeline.nowMs + dice.wait(plan.faultMs));
    });
  };
  next(moments.faultsFrom + dice.wait(plan.faultMs));
}

/** An agent whose network is cut, lossy, slow, silent or renumbered. */
import { type Done, type Fault, pause, type Scene } from "../fault.ts";
import { Cable } from "../network.ts";
import type { Stage } from "../stage.ts";

const victim = "agent-2";

export const networkFaults: Fault[] = [
  {
    name: "network-black-hole",
    title: "an agent's network swallows everything for 8 s (no FIN, no RST)",
    seen: "its requests wait up to 3 s, then as if it were killed; back with its modules loaded",
    errors: ["agent_lost"],
    answeredMin: 0.97,
    prepare: (folder) =>
      behindCable(
        folder,
        (stage, cable) =>
          lostBy(stage, () => cable.set({ lossPercent: 100 }), {
            afterMs: 8000,
            restore: () => cable.set({}),
          }),
      ),
  },
  {
    name: "network-cut",
    title: "an agent's network device goes down for 5 s",
    seen: "as with a black hole",
    errors: ["agent_lost"],
    answeredMin: 0.97,
    prepare: (folder) =>
      behindCable(
        folder,
        (stage, cable) =>
          lostBy(stage, () => cable.setUp(false), { afterMs: 5000, restore: () => cable.setUp(true) }),
      ),
  },
  {
    name: "network-loss",
    title: "30 % of an agent's packets are lost for 10 s",
    seen: "its replies come late; it may be lost for a while",
    errors: ["agent_lost"],
    answeredMin: 0.97,
    prepare: (folder) =>
      behindCable(folder, async (stage, cable) => {
        const done = await worseFor(stage, cable, { lossPercent: 30 });
        const { passed, lost } = done.figures;
        // Each is lost by chance, and who loses many sends few: five standard deviations, once in a million rounds.
        const packets = passed + lost;
        if (packets < 50 || Math.abs(lost - 0.3 * packets) > 5 * Math.sqrt(packets * 0.3 * 0.7)) {
          throw new Error(`30 % of the packets must be lost, ${lost} of ${packets} were`);
        }
        return done;
      }),
  },
  {
    name: "network-delay",
    title: "an agent's packets take 500 ms each way for 10 s",
    seen: "its replies come 1 s later; it gets fewer requests",
    answeredMin: 1,
    prepare: (folder) =>
      behindCable(folder, async (stage, cable) => {
        const done = await worseFor(stage, cable, { delayMs: 500 });
        const late = stage.repliesSlowerThan(1000, done.atMs);
        if (late === 0) throw new Error("replies must come 1 s later, none did");
        return { ...done, figures: { ...done.figures, late } };
      }),
  },
  {
    name: "network-agent-renumbered",
    title: "an agent gets another address",
    seen: "as with a black hole; it is back by itself",
    errors: ["agent_lost"],
    answeredMin: 0.97,
    prepare: (folder) => behindCable(folder, (stage, cable) => lostBy(stage, () => cable.renumberThere())),
  },
  {
    name: "network-manager-renumbered",
    title: "the manager gets another address that it has told of before",
    seen: "as with a black hole; the agent finds it by itself",
    errors: ["agent_lost"],
    answeredMin: 0.97,
    prepare: (folder) => behindCable(folder, (stage, cable) => lostBy(stage, () => cable.renumberHere())),
  },
];

/** The victim is behind the cable, the others and the manager are not. */
async function behindCable(
  folder: string,
  harm: (stage: Stage, cable: Cable) => Promise<Done>,
): Promise<Scene> {
  const cable = await Cable.lay(folder);
  return {
    stage: {
      host: "0.0.0.0",
      advertise: cable.managerAddresses,
      under: (name) => name === victim ? { prefix: cable.prefix } : {},
    },
    run: (stage) => harm(stage, cable),
    undo: () => cable.remove(),
  };
}

/** The agent is lost by `harm`, and back by itself or once it is undone, with the very processes it had. */
async function lostBy(
  stage: Stage,
  harm: () => Promise<unknown>,
  undone?: { afterMs: number; restore(): Promise<unknown> },
): Promise<Done> {
  const runners = stage.runnersOf(victim);
  const atMs = Date.now();
  await harm();
  const noticed = await stage.event("agent_lost", victim, atMs);
  if (undone) {
    await pause(Math.max(0, atMs + undone.afterMs - Date.now()));
    await undone.restore();
  }
  await stage.whole();
  requireSame(runners, stage.runnersOf(victim));
  return { atMs, noticedMs: noticed.atMs - atMs };
}

async function worseFor(
  stage: Stage,
  cable: Cable,
  how: { delayMs?: number; lossPercent?: number },
): Promise<Done & { figures: { passed: number; lost: number } }> {
  const atMs = Date.now();
  await cable.set(how);
  await pause(10_000);
  const figures = await cable.set({});
  await stage.whole();
  return { atMs, figures };
}

/** A busy agent has more runners for a while. */
function requireSame(before: readonly number[], after: readonly number[]): void {
  if (before.some((pid) => after.includes(pid))) return;
  throw new Error(`the runners must go on, they were ${before.join(" ")} and are ${after.join(" ")}`);
}

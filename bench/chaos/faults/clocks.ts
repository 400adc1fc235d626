/** Wall clocks that jump by an hour and by 50 years in both directions, under load and with what starts meanwhile. */
import type { Fault, Scene } from "../fault.ts";
import { Shim } from "../native.ts";
import { kill, queueMaxLong, type Stage } from "../stage.ts";

const hourMs = 3600_000;
const yearsMs = 50 * 365.25 * 24 * hourMs;
const jumpsMs = [hourMs, -hourMs, yearsMs, -yearsMs];

const victim = "agent-2";

export const clockFaults: Fault[] = [
  {
    name: "manager-clock",
    title: "manager's clock jumps by an hour and 50 years, both ways; an agent joins meanwhile",
    seen: "nothing",
    answeredMin: 1,
    prepare: (folder) => jumping(folder, "manager", restartAgent),
  },
  {
    name: "agent-clock",
    title: "an agent's clock jumps by an hour and 50 years, both ways; it is restarted meanwhile",
    seen: "nothing",
    answeredMin: 1,
    prepare: (folder) => jumping(folder, victim, restartAgent),
  },
  {
    name: "manager-started-with-wrong-clock",
    title: "manager restarted while its clock is an hour and 50 years wrong, both ways",
    seen: "as when it is killed",
    // Agents and requests are all back at once; what can't be in time then is told so.
    errors: ["manager_lost", "queue_full"],
    answeredMin: 0.5,
    prepare: (folder) =>
      jumping(folder, "manager", async ({ cluster }) => {
        await kill(cluster.manager);
        await cluster.startManager();
      }),
  },
];

async function restartAgent({ cluster }: Stage): Promise<void> {
  await cluster.agents.get(victim)!.end("SIGTERM");
  cluster.startAgent(victim);
}

/** `meanwhile` happens while the clock of `name` is wrong, for each jump. */
async function jumping(
  folder: string,
  name: string,
  meanwhile: (stage: Stage) => Promise<void>,
): Promise<Scene> {
  const shim = await Shim.make(folder);
  return {
    stage: { under: (other) => other === name ? { env: shim.env } : {}, queueMax: queueMaxLong },
    async run(stage) {
      const atMs = Date.now();
      for (const jumpMs of jumpsMs) {
        await shim.set({ clockOffsetMs: jumpMs });
        await meanwhile(stage);
        await stage.whole();
        requireWrong(stage, name, jumpMs);
        await shim.set({});
        await stage.whole();
      }
      return { atMs };
    },
  };
}

/** A jump that the program didn't feel would prove nothing. */
function requireWrong({ cluster }: Stage, name: string, jumpMs: number): void {
  const { output } = name === "manager" ? cluster.manager : cluster.agents.get(name)!;
  const lineMs = Date.parse(output.trim().split("\n").at(-1)!.split(" ")[0]);
  const offByMs = Math.abs(lineMs - Date.now() - jumpMs);
  if (!(offByMs < hourMs / 2)) throw new Error(`the clock of ${name} must be wrong, it said: ${output}`);
}

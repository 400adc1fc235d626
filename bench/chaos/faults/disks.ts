/** The manager's disk: slow, and full. */
import { deployRequest } from "../../../tests/support/deploying.ts";
import { type Fault, pause } from "../fault.ts";
import { Shim } from "../native.ts";
import { kill, type Stage } from "../stage.ts";
import { run as command } from "../system.ts";

const slowMs = 2000;

export const diskFaults: Fault[] = [
  {
    name: "disk-slow",
    title: "slow disk (a sync takes 2 s) while an agent is restarted and a set deployed",
    seen: "nothing; whoever changes something waits for the disk",
    answeredMin: 1,
    async prepare(folder) {
      const shim = await Shim.make(folder);
      return {
        stage: { under: (name) => name === "manager" ? { env: shim.env } : {} },
        async run(stage) {
          await shim.set({ syncDelayMs: slowMs });
          const before = await shim.slowSyncs();
          const atMs = Date.now();
          try {
            await stage.cluster.agents.get("agent-2")!.end("SIGTERM");
            stage.cluster.startAgent("agent-2");
            const askedMs = Date.now();
            await deploy(stage, `export const at = () => ${atMs};`);
            const deployAnsweredAfterMs = Date.now() - askedMs;
            const slowSyncs = await shim.slowSyncs() - before;
            if (slowSyncs === 0 || deployAnsweredAfterMs < slowMs) {
              throw new Error(
                `the disk must be slow: ${slowSyncs} syncs, a deployment took ${deployAnsweredAfterMs} ms`,
              );
            }
            return { atMs, figures: { deployAnsweredAfterMs, slowSyncs } };
          } finally {
            await shim.set({});
          }
        },
      };
    },
  },
  {
    name: "disk-full",
    title: "full disk under the manager while an agent dies and a set is deployed",
    seen: "as when an agent dies; changes are refused in words until there is room",
    errors: ["agent_lost"],
    answeredMin: 0.95,
    async prepare(folder) {
      await command(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]);
      return {
        stage: { managerFolder: folder },
        async run(stage) {
          await command(["sh", "-c", `cat /dev/zero > ${folder}/filler 2> /dev/null || true`]);
          const atMs = Date.now();
          try {
            await kill(stage.cluster.agents.get("agent-2")!);
            stage.cluster.startAgent("agent-2");
            const refusal = await deploy(stage, `export const f = () => 1; // ${"x".repeat(100_000)}`).then(
              () => "",
              String,
            );
            if (!/disk is full/.test(refusal)) {
              throw new Error(`a deployment must be refused, it said: ${refusal}`);
            }
            await pause(500);
            return { atMs };
          } finally {
            await Deno.remove(`${folder}/filler`);
          }
        },
        undo: async () => void await command(["umount", folder]),
      };
    },
  },
];

async function deploy(stage: Stage, source: string): Promise<void> {
  await stage.sqwish.call("POST", "/v1/replicasets", deployRequest("other", { "other.ts": source }));
}

/** The manager's disk: slow, and full. */
import { deployRequest } from "../../../tests/support/deploying.ts";
import { type Fault, pause } from "../fault.ts";
import { Shim } from "../native.ts";
import type { Stage } from "../stage.ts";
import { run as command } from "../system.ts";

const slowMs = 2000;

export const diskFaults: Fault[] = [
  {
    name: "disk-slow",
    title: "slow disk (a sync takes 2 s) while an agent is restarted and a set deployed",
    seen: "nothing; whoever changes something waits for the disk",
    async prepare(folder) {
      const shim = await Shim.make(folder);
      return {
        stage: { under: (name) => name === "manager" ? { env: shim.env } : {} },
        async run(stage) {
          await shim.set({ syncDelayMs: slowMs });
          const atMs = Date.now();
          try {
            await stage.cluster.agents.get("agent-2")!.end("SIGTERM");
            stage.cluster.startAgent("agent-2");
            await deploy(stage, `export const at = () => ${atMs};`);
            return { atMs, figures: { deployAnsweredAfterMs: Date.now() - atMs } };
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
    async prepare(folder) {
      await command(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]);
      return {
        stage: { managerFolder: folder },
        async run(stage) {
          await command(["sh", "-c", `cat /dev/zero > ${folder}/filler 2> /dev/null || true`]);
          const atMs = Date.now();
          try {
            await stage.cluster.agents.get("agent-2")!.end("SIGKILL");
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

/** One manager and two agents with a replicaSet of the benchmark's, for the comparison and for every other scenario. */
import { join } from "node:path";
import { DemoCluster } from "../../../examples/demo/cluster.ts";
import type { Processes } from "../../measure.ts";
import type { PeerContext } from "../peer.ts";

export interface BenchCluster {
  readonly cluster: DemoCluster;
  readonly processes: Processes;
  close(): Promise<void>;
}

/** `module` is a file of this folder; `set` is what its replicaSet `bench` has beside it. */
export async function startCluster(
  context: PeerContext,
  module: string,
  set: Record<string, unknown> = {},
): Promise<BenchCluster> {
  const { folder, programs, interrupted } = context;
  const configuration = join(folder, "cluster.json");
  await Deno.copyFile(join(import.meta.dirname!, module), join(folder, module));
  const replicaSet = { name: "bench", version: "1.0.0", modules: [`./${module}`], replicas: 2, ...set };
  await Deno.writeTextFile(
    configuration,
    JSON.stringify({ cluster: "bench", replicaSets: [replicaSet] }),
  );
  const agents = ["agent-1", "agent-2"].map((name) => ({ name, labels: {} }));
  const cluster = await DemoCluster.start({ programs, folder, configuration, agents, interrupted });
  try {
    await cluster.ready();
    const [manager, ...agentPids] = cluster.programs.map(({ pid }) => pid);
    return {
      cluster,
      // An agent may start more runners at any time.
      processes: { pids: { broker: [manager], agents: agentPids }, supervisors: agentPids },
      close: () => cluster.close(),
    };
  } catch (thrown) {
    await cluster.close();
    throw thrown;
  }
}

/** The set of the comparison; `concurrency` is left to the system unless the run fixes it. */
export function startEcho(context: PeerContext): Promise<BenchCluster> {
  return startCluster(context, "echo.ts", { queue: { max: 100_000 }, concurrency: context.concurrency });
}

/**
 * Sqwish in full: TLS, authentication, admission, queue, adaptive capacity and telemetry; the endpoint runs in
 * a runner on each of two agents.
 */
import { join } from "node:path";
import { DemoCluster } from "../../../examples/demo/cluster.ts";
import { descendantsOf } from "../../measure.ts";
import type { Peer, PeerContext, RunningPeer } from "../peer.ts";

export const sqwish: Peer = {
  name: "sqwish",
  title: "Sqwish, TLS",
  needs: [],
  start: (context) =>
    startSqwish(context, ({ clientToken }) => ({
      kind: "library",
      client: "sqwish",
      address: { token: clientToken },
    })),
};

export async function startSqwish(
  context: PeerContext,
  target: (manager: DemoCluster["manager"]) => RunningPeer["target"],
): Promise<RunningPeer> {
  const configuration = join(context.folder, "cluster.json");
  const { concurrency } = context;
  const module = "echo.ts";
  await Deno.copyFile(join(import.meta.dirname!, module), join(context.folder, module));
  const replicaSet = {
    name: "bench",
    modules: [`./${module}`],
    replicas: 2,
    queue: { max: 100_000 },
    concurrency,
  };
  await Deno.writeTextFile(
    configuration,
    JSON.stringify({ cluster: "bench", replicaSets: [{ version: "1.0.0", ...replicaSet }] }),
  );
  const cluster = await DemoCluster.start({
    programs: context.programs,
    folder: context.folder,
    configuration,
    agents: [{ name: "agent-1", labels: {} }, { name: "agent-2", labels: {} }],
    interrupted: context.interrupted,
  });
  try {
    await cluster.ready();
    const [manager, ...agents] = cluster.programs.map(({ pid }) => pid);
    return {
      pids: { broker: [manager], agents, workers: agents.flatMap(descendantsOf) },
      target: target(cluster.manager),
      close: () => cluster.close(),
    };
  } catch (thrown) {
    await cluster.close();
    throw thrown;
  }
}

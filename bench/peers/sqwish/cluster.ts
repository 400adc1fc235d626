/** A Sqwish cluster of one replicaSet named "bench", made of one of this folder's modules. */
import { join } from "node:path";
import { type AgentPlan, DemoCluster } from "../../../examples/demo/cluster.ts";
import { fetchAuthority } from "../../../lib/security/certificate_fetch.ts";
import { parseToken } from "../../../lib/security/token.ts";
import type { PeerContext } from "../peer.ts";

export interface ClusterPlan {
  /** A file of this folder. */
  module: string;
  /** More of the replicaSet's configuration. */
  replicaSet: Record<string, unknown>;
  agents: number;
}

/** Resolves when every replica is ready. The caller closes it. */
export async function startCluster(context: PeerContext, plan: ClusterPlan): Promise<DemoCluster> {
  const { folder, programs, interrupted } = context;
  const configuration = join(folder, "cluster.json");
  await Deno.copyFile(join(import.meta.dirname!, plan.module), join(folder, plan.module));
  const replicaSet = { name: "bench", version: "1.0.0", modules: [`./${plan.module}`], ...plan.replicaSet };
  await Deno.writeTextFile(configuration, JSON.stringify({ cluster: "bench", replicaSets: [replicaSet] }));
  const agents = Array.from({ length: plan.agents }, (_, index): AgentPlan => ({
    name: `agent-${index + 1}`,
    labels: {},
  }));
  const cluster = await DemoCluster.start({ programs, folder, configuration, agents, interrupted });
  try {
    if (plan.agents > 0) await cluster.ready();
    return cluster;
  } catch (thrown) {
    await cluster.close();
    throw thrown;
  }
}

/** The certificate of its authority, as PEM. */
export async function authorityOf({ manager: { port, clientToken } }: DemoCluster): Promise<string> {
  const { fingerprint } = parseToken(clientToken);
  return await fetchAuthority({ host: "127.0.0.1", port, fingerprint, timeoutMs: 5000 });
}

/**
 * Deploying small replicaSets from their text, for tests over a real cluster. Everything goes over one library
 * connection, so that looking often costs the busy machine little.
 */
import type { Sqwish } from "../../client.ts";
import type { DeployRequest, DeployView, OverviewView, ReplicaSetView } from "../../lib/protocol/views.ts";
import { eventually } from "./eventually.ts";

/** Bounds are for a busy machine: what takes long here is a bug only when it takes for ever. */
export const patienceMs = 30_000;

/** No waiting between replicas and a deadline that a test can wait for. */
export const quickRollout = { minReadyMs: 0, deadlineMs: 60_000 };

/** Deploys modules by path; every one is an entry unless its path has a folder. Resolves with the revision. */
export async function deploy(
  sqwish: Sqwish,
  name: string,
  modules: Record<string, string | Uint8Array>,
  settings: Record<string, unknown> = {},
): Promise<number> {
  const request: DeployRequest = {
    replicaSet: { name, version: "1", rollout: quickRollout, ...settings },
    modules: Object.entries(modules).map(([path, content]) => ({
      path,
      entry: !path.includes("/"),
      base64: typeof content === "string" ? new TextEncoder().encode(content).toBase64() : content.toBase64(),
    })),
  };
  const reply = await sqwish.call("POST", "/v1/replicasets", request);
  return (reply.json as DeployView).revision;
}

/** Deploys and waits until the rollout has ended well. */
export async function deployed(
  sqwish: Sqwish,
  name: string,
  modules: Record<string, string | Uint8Array>,
  settings: Record<string, unknown> = {},
): Promise<number> {
  const revision = await deploy(sqwish, name, modules, settings);
  await rolledOut(sqwish, name, revision);
  return revision;
}

export async function overviewOf(sqwish: Sqwish): Promise<OverviewView> {
  return (await sqwish.call("GET", "/v1/overview")).json as OverviewView;
}

export async function setOf(sqwish: Sqwish, name: string): Promise<ReplicaSetView | undefined> {
  return (await overviewOf(sqwish)).replicaSets.find((set) => set.name === name);
}

/** Waits until this revision runs everywhere; a rollout that failed is told at once. */
export async function rolledOut(sqwish: Sqwish, name: string, revision: number): Promise<void> {
  let last: ReplicaSetView | undefined;
  await eventually(`revision ${revision} of ${name} runs`, async () => {
    last = await setOf(sqwish, name);
    const { rollout } = last ?? {};
    if (rollout?.toRevision !== revision || rollout.state === "progressing") return false;
    return last!.ready === last!.wanted || rollout.state === "failed";
  }, patienceMs);
  if (last!.rollout!.state === "failed") {
    throw new Error(`the rollout of ${name} failed: ${last!.rollout!.reason}`);
  }
}

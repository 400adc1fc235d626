/**
 * Deploying small replicaSets from their text, for tests over a real cluster. Everything goes over one library
 * connection, so that looking often costs the busy machine little.
 */
import type { Sqwish } from "../../client.ts";
import type { DeployRequest, DeployView } from "../../lib/protocol/deploy_views.ts";
import type { OverviewView, ReplicaSetView } from "../../lib/protocol/views.ts";
import { eventually } from "./eventually.ts";

/** Bounds are for a busy machine: what takes long here is a bug only when it takes for ever. */
export const patienceMs = 60_000;

/** No waiting between replicas and a deadline that a test can wait for. */
export const quickRollout = { minReadyMs: 0, deadlineMs: 60_000 };

/** The body of `POST /v1/replicasets`; every module is an entry unless its path has a folder. */
export function deployRequest(
  name: string,
  modules: Record<string, string | Uint8Array>,
  settings: Record<string, unknown> = {},
): DeployRequest {
  return {
    replicaSet: { name, version: "1", rollout: quickRollout, ...settings },
    modules: Object.entries(modules).map(([path, content]) => ({
      path,
      entry: !path.includes("/"),
      base64: typeof content === "string" ? new TextEncoder().encode(content).toBase64() : content.toBase64(),
    })),
  };
}

/** Deploys modules by path. Resolves with the revision. */
export async function deploy(
  sqwish: Sqwish,
  name: string,
  modules: Record<string, string | Uint8Array>,
  settings: Record<string, unknown> = {},
): Promise<number> {
  const reply = await sqwish.call("POST", "/v1/replicasets", deployRequest(name, modules, settings));
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

/** Deploys what can't work and resolves with the reason of the rollout's failure. */
export async function failedRollout(
  sqwish: Sqwish,
  name: string,
  modules: Record<string, string | Uint8Array>,
  settings: Record<string, unknown> = {},
): Promise<string> {
  const revision = await deploy(sqwish, name, modules, settings);
  const { reason } = await eventually(`revision ${revision} of ${name} has failed`, async () => {
    const rollout = (await setOf(sqwish, name))?.rollout;
    return rollout?.toRevision === revision && rollout.state === "failed" ? rollout : null;
  }, patienceMs);
  return reason ?? "";
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

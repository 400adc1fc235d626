/** For flow tests: deployments from text, sent as `client deploy` sends them, and the errors that calls end in. */
import assert from "node:assert/strict";
import type { Sqwish } from "../../client.ts";
import { SqwishError } from "../../lib/errors.ts";
import type { DeployRequest, DeployView, ReplicaSetView, RolloutView } from "../../lib/protocol/views.ts";
import { eventually } from "./eventually.ts";

/** The settings of a replicaSet; the version is 1.0.0 unless given, and replicas are ready at once. */
export type Settings = Record<string, unknown> & { name: string };

/** The body of `POST /v1/replicasets`; modules are texts by path, and all of them entries. */
export function deployRequest(settings: Settings, modules: Record<string, string>): DeployRequest {
  const rollout = { minReadyMs: 0, ...settings.rollout as Record<string, unknown> | undefined };
  return {
    replicaSet: { version: "1.0.0", ...settings, rollout },
    modules: Object.entries(modules).map(([path, text]) => ({
      path,
      entry: true,
      base64: btoa(String.fromCharCode(...new TextEncoder().encode(text))),
    })),
  };
}

/** Deploys and resolves with the manager's answer; the rollout goes on. */
export async function deploy(
  sqwish: Sqwish,
  settings: Settings,
  modules: Record<string, string>,
): Promise<DeployView> {
  const { json } = await sqwish.call("POST", "/v1/replicasets", deployRequest(settings, modules));
  return json as DeployView;
}

/** Deploys and waits until the rollout is over, whichever way. */
export async function rollOut(
  sqwish: Sqwish,
  settings: Settings,
  modules: Record<string, string>,
): Promise<RolloutView> {
  const { replicaSet, revision } = await deploy(sqwish, settings, modules);
  return await eventually(`the rollout of ${replicaSet} is over`, async () => {
    const { rollout } = await replicaSetOf(sqwish, replicaSet);
    return rollout?.toRevision === revision && rollout.state !== "progressing" && rollout;
  }, 30_000);
}

/** One replicaSet as the API shows it. */
export async function replicaSetOf(sqwish: Sqwish, name: string): Promise<ReplicaSetView> {
  return (await sqwish.call("GET", `/v1/replicasets/${name}`)).json as ReplicaSetView;
}

/** The error that `promise` ends in; fails when it resolves or throws anything else. */
export async function failureOf(promise: Promise<unknown>): Promise<SqwishError> {
  let value: unknown;
  try {
    value = await promise;
  } catch (thrown) {
    if (thrown instanceof SqwishError) return thrown;
    throw thrown;
  }
  return assert.fail(`an error was expected, it resolved with ${JSON.stringify(value)?.slice(0, 200)}`);
}

/** The error in an HTTP answer. */
export function errorIn(answer: { text: string }): {
  code: string;
  message: string;
  details: Record<string, unknown>;
} {
  const { error } = JSON.parse(answer.text);
  return error;
}

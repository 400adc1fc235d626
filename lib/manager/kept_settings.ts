/**
 * What a deployment by a client leaves as it is: how many replicas where it does not say, and with `keepSettings`
 * all that it does not name. Request and stored set → here → `deployments.ts`, which builds and stores. Pure.
 */
import { isDeepStrictEqual } from "node:util";
import { settingsOf } from "../deployment/revision.ts";
import { revisionInForce } from "../deployment/rollout.ts";
import {
  configurationRefused,
  parseReplicaSet,
  type ReplicaSetSettings,
} from "../deployment/specification.ts";
import type { DeployRequest, DeployView } from "../protocol/deploy_views.ts";
import type { ReplicaCount, RevisionSpecification } from "../protocol/revision.ts";
import { saysOtherReplicas, type StoredSet } from "../store/deployments.ts";

export interface Wish {
  settings: ReplicaSetSettings;
  /** How many the deployment itself asks for. */
  says: ReplicaCount;
  /** Empty when nothing is kept that a new set would not have anyway. */
  keptSettings: Pick<DeployView, "keptSettings">;
}

/** What shall be built. Throws `invalid_request` with every error in `details.errors`. */
export function wishOf(request: DeployRequest, known: StoredSet | undefined): Wish {
  const { name, version } = request.replicaSet;
  const inForce = known && revisionInForce(known);
  const kept = request.keepSettings && inForce ? settingsOf(inForce.specification) : {};
  const parsed = parseReplicaSet({ ...kept, ...request.replicaSet });
  if (!parsed.ok) throw configurationRefused(`The replicaSet ${name}`, parsed.errors);
  const says = parsed.replicaSet.replicas;
  // A deployment that does not say how many goes on with what the set's specification says now.
  const count = request.replicaSet.replicas === undefined ? known?.current.specification.replicas : undefined;
  const wanted = { ...parsed.replicaSet, replicas: count ?? says };
  const settings = request.force ? withConsent(wanted) : wanted;
  const fresh: Record<string, unknown> = settingsOfNew(name, version);
  const names = Object.entries(kept).filter(([key, value]) =>
    request.replicaSet[key] === undefined && !isDeepStrictEqual(value, fresh[key])
  ).map(([key]) => key);
  const keptSettings = inForce && names.length > 0
    ? { keptSettings: { names, revision: inForce.revision } }
    : {};
  return { settings, says, keptSettings };
}

function settingsOfNew(name: string, version: string): Record<string, unknown> {
  const parsed = parseReplicaSet({ name, version });
  return parsed.ok ? parsed.replicaSet : {};
}

/** How many the set goes on with, where that is not what the deployment `says`. */
export function keepsOf(
  says: ReplicaCount,
  specification: RevisionSpecification,
  before: StoredSet | undefined,
): Pick<DeployView, "keeps"> {
  if (!before) return {};
  const isRescaled = saysOtherReplicas(before.current.specification, specification);
  const keeps = (isRescaled ? undefined : before.replicasOverride) ?? specification.replicas;
  return isDeepStrictEqual(keeps, says) ? {} : { keeps };
}

function withConsent<Settings extends ReplicaSetSettings>(settings: Settings): Settings {
  return { ...settings, rollout: { ...settings.rollout, breaking: "allow" } };
}

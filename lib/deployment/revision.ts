/**
 * Settings and built modules → the specification that a revision stores; and whether two say the same, so that
 * deploying what already runs makes no new revision.
 */
import type { ModuleFile } from "../protocol/messages.ts";
import type { RevisionSpecification } from "../protocol/revision.ts";
import type { ReplicaSetSettings } from "./configuration_schema.ts";

/** The whole specification of one revision. Modules are ordered by path, so that equal sets are equal text. */
export function createSpecification(set: ReplicaSetSettings, modules: ModuleFile[]): RevisionSpecification {
  return {
    name: set.name,
    version: set.version,
    modules: modules.toSorted((left, right) => left.path < right.path ? -1 : 1),
    replicas: set.replicas,
    placement: set.placement,
    ...(set.spread === undefined ? {} : { spread: set.spread }),
    permissions: set.permissions,
    env: set.env,
    memoryMb: set.memoryMb,
    ...(set.cores === undefined ? {} : { cores: set.cores }),
    ...(set.concurrency === undefined ? {} : { concurrency: set.concurrency }),
    queueMax: set.queue.max,
    timeoutMs: set.timeoutMs,
    idempotent: set.idempotent,
    rollout: set.rollout,
  };
}

/**
 * The other way round: what a deployment would say to have these settings again, but for name, version,
 * modules and replicas. Consent to break endpoints is given anew each time, and not handed on.
 */
export function settingsOf(specification: RevisionSpecification): Partial<ReplicaSetSettings> {
  const { name: _name, version: _version, modules: _modules, replicas: _replicas, ...rest } = specification;
  const { queueMax, rollout: { breaking: _breaking, ...rollout }, ...settings } = rest;
  return { ...settings, queue: { max: queueMax }, rollout };
}

/** True when both describe the same, whatever the order of their keys. Which endpoints may go is said of a change, not of a state. */
export function sameSpecification(left: RevisionSpecification, right: RevisionSpecification): boolean {
  return canonicalText(withoutConsent(left)) === canonicalText(withoutConsent(right));
}

function withoutConsent(specification: RevisionSpecification): RevisionSpecification {
  const { breaking: _, ...rollout } = specification.rollout;
  return { ...specification, rollout };
}

/** JSON with sorted keys and no absent values (after RFC 8785, JSON Canonicalization Scheme). */
function canonicalText(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, item) =>
      typeof item === "object" && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([left], [right]) => left < right ? -1 : 1))
        : item,
  );
}

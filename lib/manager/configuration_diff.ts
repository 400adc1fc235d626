/** What a configuration file would change, held against what is stored: read and built as if it came into force, then told. */
import { dirname, resolve } from "node:path";
import { differences, diffLines } from "../deployment/difference.ts";
import type { BuildModuleSets } from "../deployment/module_builder.ts";
import { sameSpecification } from "../deployment/revision.ts";
import { revisionInForce } from "../deployment/rollout.ts";
import { SqwishError } from "../errors.ts";
import type { DeploymentStore } from "../store/deployments.ts";
import { buildSets, type BuiltSet } from "./build_sets.ts";
import { readConfiguration } from "./configuration_file.ts";
import { findDropped, type WasCalled } from "./endpoint_guard.ts";

export interface ConfigurationDiff {
  /** The changes, set by set. */
  text: string;
  /** Why the file would be refused although it has no errors, in words. */
  refusals: string[];
}

/** Throws `invalid_request` with every error in `details.errors`. */
export async function diffConfiguration(
  file: string,
  store: DeploymentStore,
  build: BuildModuleSets,
  wasCalled: WasCalled,
): Promise<ConfigurationDiff> {
  const configuration = await readConfiguration(file);
  const { built, errors } = await buildSets(build, configuration.replicaSets, dirname(resolve(file)));
  if (errors.length > 0) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
    throw new SqwishError("invalid_request", `${file} is refused: ${errors[0]}${more}`, {
      details: { errors },
    });
  }
  const lines = built.flatMap(({ specification }) => {
    const { name } = specification;
    const before = store.find(name);
    if (!before) return [`${name}: new`, ...diffLines(differences(undefined, specification))];
    const taken = before.owner === "file" ? [] : [
      `${name}: its owner changes from "api" to "file": clients can't change it any more, and it is deleted ` +
      "when the file no longer names it",
    ];
    if (sameSpecification(before.current.specification, specification)) {
      return [`${name}: unchanged`, ...taken];
    }
    const inForce = revisionInForce(before);
    const changes = differences(inForce.specification, specification);
    const what = changes.length === 0 ? "a new revision, the same as" : "after";
    return [`${name}: ${what} revision ${inForce.revision}`, ...diffLines(changes), ...taken];
  });
  const named = new Set(built.map(({ specification }) => specification.name));
  const gone = store.loadAll().filter(({ owner, name }) => owner === "file" && !named.has(name));
  lines.push(...gone.map(({ name }) => `${name}: deleted`));
  const refusals: string[] = [];
  for (const one of built) refusals.push(...await refusalsOf(one, store, build, wasCalled));
  return { text: lines.length === 0 ? "no replicaSets\n" : `${lines.join("\n")}\n`, refusals };
}

/** As the manager refuses them: endpoints in use of what runs now that the file's modules do not have. */
async function refusalsOf(
  { specification, functions }: BuiltSet,
  store: DeploymentStore,
  build: BuildModuleSets,
  wasCalled: WasCalled,
): Promise<string[]> {
  const { name, rollout } = specification;
  const before = store.find(name);
  if (!before || rollout.breaking === "allow") return [];
  const running = revisionInForce(before).specification;
  if (sameSpecification(running, specification)) return [];
  // What its modules export is stored in them alone.
  const sources = running.modules.map(({ path, source, sha256, entry }) => (
    { path, source, entry, bytes: store.module(sha256) ?? new Uint8Array() }
  ));
  const [{ result }] = await build({ baseFolder: "/", sets: [{ sources }] });
  if (!result.ok) return [];
  const refusal = findDropped({ name, before: result.functions, functions, wasCalled });
  return refusal === undefined ? [] : [refusal];
}

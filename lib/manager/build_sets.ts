/** From sources to specifications: what a deployment over the API and the configuration file have in common. */
import type { Builder } from "../deployment/builder.ts";
import { describeModuleError, modulesRefused } from "../deployment/module_error.ts";
import type { ModuleSource } from "../deployment/modules.ts";
import { createSpecification } from "../deployment/revision.ts";
import type { ConfiguredReplicaSet, ReplicaSetSettings } from "../deployment/specification.ts";
import type { RevisionSpecification } from "../protocol/revision.ts";

export interface BuiltSet {
  specification: RevisionSpecification;
  /** The modules' bytes by SHA-256. */
  blobs: ReadonlyMap<string, Uint8Array>;
}

/** Checks and strips one set's modules. Throws `invalid_request` with every error in `details.errors`. */
export async function buildSet(
  builder: Builder,
  settings: ReplicaSetSettings,
  sources: ModuleSource[],
): Promise<BuiltSet> {
  const [{ result }] = await builder.build([{ sources }]);
  if (!result.ok) throw modulesRefused(settings.name, result.errors);
  return { specification: createSpecification(settings, result.modules), blobs: result.blobs };
}

/**
 * Builds every set of a configuration file, from the files that it names. All errors of all sets at once, in
 * words; `files` are those that were read, imported ones included.
 */
export async function buildSets(
  builder: Builder,
  sets: readonly ConfiguredReplicaSet[],
  baseFolder: string,
): Promise<{ built: BuiltSet[]; errors: string[]; files: string[] }> {
  const answers = await builder.build(sets.map(({ modules }) => ({ paths: modules, baseFolder })));
  const built: BuiltSet[] = [];
  const errors: string[] = [];
  for (const [at, { result }] of answers.entries()) {
    const { modules: _paths, ...settings } = sets[at];
    if (!result.ok) errors.push(...result.errors.map(describeModuleError));
    else built.push({ specification: createSpecification(settings, result.modules), blobs: result.blobs });
  }
  return { built, errors, files: answers.flatMap(({ files }) => files) };
}

/** From sources to specifications: what a deployment over the API and the configuration file have in common. */
import type { BuildModuleSets } from "../deployment/module_builder.ts";
import { describeModuleError, modulesRefused } from "../deployment/module_errors.ts";
import type { BuiltModules, ModuleSource } from "../deployment/modules.ts";
import { createSpecification } from "../deployment/revision.ts";
import type { ConfiguredReplicaSet, ReplicaSetSettings } from "../deployment/specification.ts";
import type { RevisionSpecification } from "../protocol/revision.ts";

export interface BuiltSet {
  specification: RevisionSpecification;
  /** The modules' bytes by SHA-256. */
  blobs: ReadonlyMap<string, Uint8Array>;
  /** What its endpoints will be called. */
  functions: readonly string[];
}

export interface BuiltSets {
  built: BuiltSet[];
  /** In words. */
  errors: string[];
  /** Those that were read, imported ones included. */
  files: string[];
}

/** Checks and strips one set's modules. Throws `invalid_request` with every error in `details.errors`. */
export async function buildSet(
  build: BuildModuleSets,
  settings: ReplicaSetSettings,
  sources: ModuleSource[],
): Promise<BuiltSet> {
  const [{ result }] = await build({ baseFolder: "/", sets: [{ sources }] });
  if (!result.ok) throw modulesRefused(settings.name, result.errors);
  return builtSet(settings, result);
}

/** Builds every set of a configuration file, from the files that it names. All errors of all sets at once. */
export async function buildSets(
  build: BuildModuleSets,
  sets: readonly ConfiguredReplicaSet[],
  baseFolder: string,
): Promise<BuiltSets> {
  const all: BuiltSets = { built: [], errors: [], files: [] };
  if (sets.length === 0) return all;
  const outcomes = await build({ baseFolder, sets: sets.map(({ modules }) => ({ paths: modules })) });
  sets.forEach(({ modules: _, ...settings }, index) => {
    const { files, result } = outcomes[index];
    all.files.push(...files);
    if (result.ok) all.built.push(builtSet(settings, result));
    else all.errors.push(...result.errors.map(describeModuleError));
  });
  return all;
}

function builtSet(settings: ReplicaSetSettings, { modules, blobs, functions }: BuiltModules): BuiltSet {
  return { specification: createSpecification(settings, modules), blobs, functions };
}

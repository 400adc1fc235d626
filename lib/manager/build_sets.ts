/** From sources to specifications: what a deployment over the API and the configuration file have in common. */
import { resolve } from "node:path";
import { collectModules } from "../deployment/collect.ts";
import {
  buildModules,
  describeModuleError,
  type ModuleSource,
  modulesRefused,
} from "../deployment/modules.ts";
import { createSpecification } from "../deployment/revision.ts";
import type { ConfiguredReplicaSet, ReplicaSetSettings } from "../deployment/specification.ts";
import { SqwishError } from "../errors.ts";
import type { RevisionSpecification } from "../protocol/revision.ts";

export interface BuiltSet {
  specification: RevisionSpecification;
  /** The modules' bytes by SHA-256. */
  blobs: ReadonlyMap<string, Uint8Array>;
}

/** Checks and strips one set's modules. Throws `invalid_request` with every error in `details.errors`. */
export async function buildSet(
  settings: ReplicaSetSettings,
  sources: ModuleSource[],
  pause?: () => Promise<void>,
): Promise<BuiltSet> {
  const result = await buildModules(sources, { pause });
  if (!result.ok) throw modulesRefused(settings.name, result.errors);
  return { specification: createSpecification(settings, result.modules), blobs: result.blobs };
}

/**
 * Builds every set of a configuration file, from the files that it names. All errors of all sets at once, in
 * words; `files` are those that were read, imported ones included.
 */
export async function buildSets(
  sets: readonly ConfiguredReplicaSet[],
  baseFolder: string,
  pause?: () => Promise<void>,
): Promise<{ built: BuiltSet[]; errors: string[]; files: string[] }> {
  const built: BuiltSet[] = [];
  const errors: string[] = [];
  const files: string[] = [];
  for (const { modules, ...settings } of sets) {
    const collected = await collectModules(modules, { baseFolder });
    if (!collected.ok) {
      errors.push(...collected.errors.map(describeModuleError));
      continue;
    }
    files.push(...collected.modules.map((module) => resolve(baseFolder, module.source)));
    try {
      built.push(await buildSet(settings, collected.modules, pause));
    } catch (thrown) {
      if (!(thrown instanceof SqwishError)) throw thrown;
      errors.push(...(thrown.details.errors as string[] | undefined ?? [thrown.message]));
    }
  }
  return { built, errors, files };
}

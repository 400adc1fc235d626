/** What a configuration file would change, held against what is stored: read and built as if it came into force, then told. */
import { dirname, resolve } from "node:path";
import { differences, diffLines } from "../deployment/difference.ts";
import type { BuildModuleSets } from "../deployment/module_builder.ts";
import { sameSpecification } from "../deployment/revision.ts";
import { SqwishError } from "../errors.ts";
import type { DeploymentStore } from "../store/deployments.ts";
import { buildSets } from "./build_sets.ts";
import { readConfiguration } from "./configuration_file.ts";

/** The changes as text, set by set. Throws `invalid_request` with every error in `details.errors`. */
export async function diffConfiguration(
  file: string,
  store: DeploymentStore,
  build: BuildModuleSets,
): Promise<string> {
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
    if (sameSpecification(before.current.specification, specification)) return [`${name}: unchanged`];
    const changes = differences(before.current.specification, specification);
    return [`${name}: after revision ${before.current.revision}`, ...diffLines(changes)];
  });
  const named = new Set(built.map(({ specification }) => specification.name));
  const gone = store.loadAll().filter(({ owner, name }) => owner === "file" && !named.has(name));
  lines.push(...gone.map(({ name }) => `${name}: deleted`));
  return lines.length === 0 ? "no replicaSets\n" : `${lines.join("\n")}\n`;
}

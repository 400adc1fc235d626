/** The inside of the Worker that `module_builder.ts` starts: one task in, its outcomes out. */
import { resolve } from "node:path";
import { collectModules } from "./collect.ts";
import type { BuildTask, SetOutcome, SetSources } from "./module_builder.ts";
import { buildModules } from "./modules.ts";

/** What a Worker's global scope has beside a window's, in the types this repository is checked with. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<BuildTask>) => Promise<void>;
  postMessage(outcomes: SetOutcome[]): void;
};

scope.onmessage = async ({ data: { sets, baseFolder } }) => {
  const outcomes: SetOutcome[] = [];
  for (const set of sets) outcomes.push(await build(set, baseFolder));
  scope.postMessage(outcomes);
};

async function build(set: SetSources, baseFolder: string): Promise<SetOutcome> {
  if ("sources" in set) return { files: [], result: await buildModules(set.sources) };
  const collected = await collectModules(set.paths, { baseFolder });
  if (!collected.ok) return { files: [], result: collected };
  const files = collected.modules.map((module) => resolve(baseFolder, module.source));
  return { files, result: await buildModules(collected.modules) };
}

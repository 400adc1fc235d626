/** The Worker of the build's process: all that needs a compiler. An error here ends the process with its message. */
import { resolve } from "node:path";
import { type BuildJob, type Built, decodeJobs } from "./build_job.ts";
import { collectModules } from "./collect.ts";
import { buildModules } from "./modules.ts";

async function build(job: BuildJob): Promise<Built> {
  if ("sources" in job) return { result: await buildModules(job.sources), files: [] };
  const { paths, baseFolder } = job;
  const collected = await collectModules(paths, { baseFolder });
  if (!collected.ok) return { result: collected, files: [] };
  const files = collected.modules.map((module) => resolve(baseFolder, module.source));
  return { result: await buildModules(collected.modules), files };
}

/** The Worker's own side of `postMessage`, which the types of a window lack. */
const scope = self as unknown as {
  onmessage: (event: MessageEvent<string>) => void;
  postMessage(built: Built[]): void;
};

scope.onmessage = async ({ data }) => {
  const built: Built[] = [];
  for (const job of decodeJobs(data)) built.push(await build(job));
  scope.postMessage(built);
};

/**
 * Collects and builds modules in a Worker, whose own bundle holds the TypeScript compiler: the compiler's text alone
 * would take 14 MB of every program that could load it. Requests pass while it works.
 * Manager → here → `module_builder_worker.ts` → `collect.ts` and `modules.ts`.
 */
import { SqwishError } from "../errors.ts";
import type { BuildResult, ModuleSource } from "./modules.ts";

/** One set's files and folders, as the configuration names them, or its sources, as a client sent them. */
export type SetSources = { paths: string[] } | { sources: ModuleSource[] };

export interface BuildTask {
  /** What `paths` are relative to. */
  baseFolder: string;
  sets: SetSources[];
}

/** What became of one set. */
export interface SetOutcome {
  /** Those that were read, imported ones included. */
  files: string[];
  result: BuildResult;
}

/** Resolves with an outcome for each set, in their order. Rejects with `internal` when the builder itself breaks. */
export type BuildModuleSets = (task: BuildTask) => Promise<SetOutcome[]>;

/** Builds in a Worker that ends with the task. Some 10 MB stay with the process for ever: `build_process.ts` spares them. */
export function buildInWorker(task: BuildTask): Promise<SetOutcome[]> {
  // The literal form below is what `deno compile --bundle` looks for to embed the Worker.
  const worker = new Worker(new URL("./module_builder_worker.ts", import.meta.url), {
    type: "module",
    name: "module builder",
    // It parses what others wrote, and needs no more than to find it.
    deno: { permissions: { read: true } },
  } as WorkerOptions);
  return new Promise<SetOutcome[]>((resolve, reject) => {
    worker.onmessage = (event: MessageEvent<SetOutcome[]>) => resolve(event.data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new SqwishError("internal", `Building modules failed: ${event.message}`));
    };
    worker.postMessage(task);
  }).finally(() => worker.terminate());
}

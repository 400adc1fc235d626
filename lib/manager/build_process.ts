/**
 * Builds modules in a process of its own, which takes the TypeScript compiler along when it ends.
 * Deployments → here → the same program with `buildArgument` → `buildInWorker()`; task and outcomes cross as
 * structured clones.
 */
import { deserialize, serialize } from "node:v8";
import { buildInWorker, type BuildModuleSets } from "../deployment/module_builder.ts";
import { limits } from "../limits.ts";
import { answer, runInOwnProcess } from "./own_process.ts";

/** The program's first argument when it is to do one task. */
export const buildArgument = "build-modules";

/** `mainModule`: of the program, for when it runs from source. */
export function createProcessBuilder(mainModule: string): BuildModuleSets {
  return async (task) => {
    const outcomes = await runInOwnProcess(mainModule, {
      what: "Building modules",
      args: [buildArgument],
      input: new Uint8Array(serialize(task)),
      msMax: limits.buildMsMax,
    });
    return deserialize(outcomes);
  };
}

/** The child's whole work. */
export function answerBuildTask(): Promise<void> {
  return answer(async (task) => new Uint8Array(serialize(await buildInWorker(deserialize(task)))));
}

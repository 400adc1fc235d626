/**
 * Builds modules in a process of its own that ends with the task. Only that gives back what the TypeScript compiler
 * took: compiled code and a Worker's heaps would stay with the manager, which is to run in little memory for months.
 * Deployments → here → the same program with `buildArgument` → `buildInWorker()`; task and outcomes cross as
 * structured clones on standard input and output.
 */
import { deserialize, serialize } from "node:v8";
import { buildInWorker, type BuildModuleSets } from "../deployment/module_builder.ts";
import { SqwishError } from "../errors.ts";
import { limits } from "../limits.ts";

/** The program's first argument when it is to do one task. */
export const buildArgument = "build-modules";

/** `mainModule`: of the program, for when it runs from source. */
export function createProcessBuilder(mainModule: string): BuildModuleSets {
  const before = Deno.build.standalone ? [] : ["run", "-A", "--no-prompt", mainModule];
  return async (task) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [...before, buildArgument],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(limits.buildMsMax),
    }).spawn();
    const output = child.output();
    const input = new Blob([new Uint8Array(serialize(task))]).stream();
    // A child that breaks before it has read everything says why on standard error.
    await input.pipeTo(child.stdin).catch(() => {});
    const { success, stdout, stderr } = await output;
    if (success) return deserialize(stdout);
    const said = new TextDecoder().decode(stderr).trim();
    throw new SqwishError(
      "internal",
      `Building modules failed: ${said || `the builder ended within ${limits.buildMsMax} ms without a word`}`,
    );
  };
}

/** The child's whole work. */
export async function answerBuildTask(): Promise<void> {
  const task = deserialize(new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer()));
  const outcomes = new Blob([new Uint8Array(serialize(await buildInWorker(task)))]);
  await outcomes.stream().pipeTo(Deno.stdout.writable);
}

/**
 * What the tests of binaries need besides Deno, from the folder `shared/tools` beside the repository: a runtime to
 * compile with and an ARM64 machine. Absent tools fail the test and say what is missing; nothing is skipped.
 */
import { dirname, join } from "node:path";
import { repositoryRoot } from "./source_files.ts";

const toolFolder = join(repositoryRoot, "../shared/tools");

/** The path of the runtime that `deno compile` embeds, for this x86-64 machine. */
export async function x64Runtime(): Promise<string> {
  return await askTool("denort", []);
}

/** The ARM64 Deno and the root folder of its C library. */
export async function arm64Deno(): Promise<{ deno: string; sysroot: string }> {
  const deno = await askTool("arm64", ["--path"]);
  return { deno, sysroot: join(dirname(deno), "../../sysroot") };
}

async function askTool(name: string, args: string[]): Promise<string> {
  const tool = join(toolFolder, name);
  const output = await new Deno.Command(tool, { args }).output().catch((cause) => {
    throw new Error(`This test needs the tool ${tool}, which is not there`, { cause });
  });
  if (!output.success) throw new Error(new TextDecoder().decode(output.stderr).trim());
  return new TextDecoder().decode(output.stdout).trim();
}

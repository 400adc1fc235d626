/**
 * One task in a process of its own, of this same program, that ends with it. Only that gives back what the task loaded
 * and compiled; a library or a Worker would stay with the manager, which is to run in little memory for months.
 * Builds, certificates and checkpoints → here → the program with the task's argument.
 */
import { SqwishError } from "../errors.ts";

export interface OwnProcessTask {
  /** As the beginning of a sentence about its failure: "Building modules". */
  what: string;
  args: readonly string[];
  /** Standard input; nothing when left out. */
  input?: Uint8Array<ArrayBuffer>;
  /** It is ended after that. */
  msMax?: number;
}

/**
 * Resolves with what it wrote to standard output; rejects with `internal` and what it said on standard error when it
 * failed. `mainModule`: of the program, for when it runs from source.
 */
export async function runInOwnProcess(
  mainModule: string,
  { what, args, input, msMax }: OwnProcessTask,
): Promise<Uint8Array> {
  const timeout = msMax === undefined ? undefined : AbortSignal.timeout(msMax);
  const before = Deno.build.standalone ? [] : ["run", "-A", "--no-prompt", mainModule];
  const child = new Deno.Command(Deno.execPath(), {
    args: [...before, ...args],
    stdin: input ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
    // What it says goes into our own words.
    env: { NO_COLOR: "1" },
    signal: timeout,
  }).spawn();
  const output = child.output();
  // A child that breaks before it has read everything says why on standard error.
  if (input) await new Blob([input]).stream().pipeTo(child.stdin).catch(() => {});
  const { success, stdout, stderr } = await output;
  if (success) return stdout;
  const said = new TextDecoder().decode(stderr).trim() || "its process ended without a word";
  throw new SqwishError(
    "internal",
    `${what} failed: ${timeout?.aborted ? `not done within ${msMax} ms` : said}`,
  );
}

/** The child's whole work, where the task comes on standard input and the answer goes to standard output. */
export async function answer(work: (input: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>): Promise<void> {
  const input = new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
  await new Blob([await work(input)]).stream().pipeTo(Deno.stdout.writable);
}

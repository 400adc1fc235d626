/**
 * One task in a process of its own, of this same program, that ends with it. Only that gives back what the task loaded
 * and compiled; a library or a Worker would stay with the manager, which is to run in little memory for months.
 * Builds, certificates and checkpoints → here → the program with the task's argument.
 */

export interface OwnProcessOptions {
  /** Standard input; nothing when left out. */
  input?: Uint8Array<ArrayBuffer>;
  msMax?: number;
}

/**
 * Resolves with what it wrote to standard output; rejects with what it said on standard error when it failed.
 * `mainModule`: of the program, for when it runs from source.
 */
export async function runInOwnProcess(
  mainModule: string,
  args: readonly string[],
  { input, msMax }: OwnProcessOptions = {},
): Promise<Uint8Array> {
  const before = Deno.build.standalone ? [] : ["run", "-A", "--no-prompt", mainModule];
  const child = new Deno.Command(Deno.execPath(), {
    args: [...before, ...args],
    stdin: input ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
    signal: msMax === undefined ? undefined : AbortSignal.timeout(msMax),
  }).spawn();
  const output = child.output();
  // A child that breaks before it has read everything says why on standard error.
  if (input) await new Blob([input]).stream().pipeTo(child.stdin).catch(() => {});
  const { success, stdout, stderr } = await output;
  if (success) return stdout;
  const within = msMax === undefined ? "" : ` within ${msMax} ms`;
  throw new Error(new TextDecoder().decode(stderr).trim() || `its process ended${within} without a word`);
}

/** The child's whole work, where the task comes on standard input and the answer goes to standard output. */
export async function answer(work: (input: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>): Promise<void> {
  const input = new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
  await new Blob([await work(input)]).stream().pipeTo(Deno.stdout.writable);
}

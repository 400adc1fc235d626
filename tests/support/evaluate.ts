/** A program's text, run by this very Deno in a process of its own: for what a test must not do to itself. */
import assert from "node:assert/strict";

export interface EvaluateOptions {
  /** Of `deno run`. */
  flags?: string[];
  /** A program with its arguments that starts it. */
  by?: string[];
}

/** What it has written to its standard output. Fails when it does. */
export async function evaluate(text: string, { flags = [], by = [] }: EvaluateOptions = {}): Promise<string> {
  const [path, ...args] = [...by, Deno.execPath(), "run", "-A", "--no-check", ...flags, "--ext=ts", "-"];
  const child = new Deno.Command(path, { args, stdin: "piped", stdout: "piped" }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(text));
  await input.close();
  const { code, stdout } = await child.output();
  assert.equal(code, 0);
  return new TextDecoder().decode(stdout);
}

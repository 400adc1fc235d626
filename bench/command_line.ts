/** What the command lines of the benchmarks share: chosen names, numbers, and how a program ends. */

/** The command line is wrong; nothing was begun. */
export class WrongUsage extends Error {}

/** Those of `all` that are named; all when no names are given. Throws `WrongUsage`. */
export function choose<T extends { name: string }>(
  kind: string,
  all: readonly T[],
  names: readonly string[],
): T[] {
  const unknown = names.find((name) => !all.some((each) => each.name === name));
  if (unknown !== undefined) {
    throw new WrongUsage(`A ${kind} is one of ${all.map(({ name }) => name).join(", ")}, is ${unknown}`);
  }
  return all.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** Throws `WrongUsage` for anything but a number above 0. */
export function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new WrongUsage(`${option} must be a number above 0, is ${text}`);
  return value;
}

/** Runs it to its end and the process with it: exit code 0, 1 for a failure, 2 for a wrong command line. */
export async function runProgram(main: () => Promise<void>): Promise<never> {
  try {
    await main();
  } catch (thrown) {
    console.error(thrown instanceof Error ? thrown.message : thrown);
    Deno.exit(thrown instanceof WrongUsage ? 2 : 1);
  }
  Deno.exit(0);
}

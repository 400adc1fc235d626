/** The system's own commands, for mounts and networks. */

/** Runs it to its end. Throws an Error of one line when it fails or isn't there. */
export async function run(command: string[]): Promise<string> {
  const [program, ...args] = command;
  const output = await new Deno.Command(program, { args }).output().catch((cause) => {
    throw new Error(`This fault needs the command ${program}, which is not here`, { cause });
  });
  if (output.success) return new TextDecoder().decode(output.stdout);
  throw new Error(`${command.join(" ")}: ${new TextDecoder().decode(output.stderr).trim()}`);
}

/** `client completions`: a shell's completion script on standard output. */
import { Argument } from "commander";
import { addExamples, type Command } from "../arguments.ts";
import { completionScript, type Shell, shells } from "../completions.ts";
import type { CommandContext } from "./context.ts";

export function addCompletions(program: Command, context: CommandContext): void {
  const command = program.command("completions")
    .description("print a completion script for your shell")
    .addArgument(new Argument("<shell>", "which shell").choices([...shells]))
    .action((shell: Shell) => context.terminal.writeOut(completionScript(program, shell)));
  addExamples(command, [
    'eval "$(client completions bash)"     # in ~/.bashrc',
    "client completions fish > ~/.config/fish/completions/client.fish",
  ]);
}

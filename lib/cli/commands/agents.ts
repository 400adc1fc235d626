/** `client drain`, `cordon` and `uncordon`: what an agent takes and keeps. A drain is followed to its end. */
import type { Sqwish } from "../../client/sqwish.ts";
import { SqwishError } from "../../errors.ts";
import type { AgentView } from "../../protocol/views.ts";
import { addExamples, type Command } from "../arguments.ts";
import { createProgress } from "../progress.ts";
import { type CommandContext, pause, readJson, tellWarnings, withConnection } from "./context.ts";
import { counted } from "../../words.ts";

const pollMs = 200;

export function agentPath(name: string, rest = ""): string {
  return `/v1/agents/${encodeURIComponent(name)}${rest}`;
}

export function addDrain(program: Command, context: CommandContext): void {
  const command = program.command("drain")
    .description("move what runs on an agent to others, then let it rest; requests that run there end first")
    .argument("<agent>", "the agent's name")
    .option("--no-wait", "don't wait until it is empty")
    .action((name: string, { wait }: { wait: boolean }) =>
      withConnection(context, async (sqwish, signal) => {
        const { json } = await sqwish.call("POST", agentPath(name, "/drain"), {}, { signal });
        tellWarnings(context, json as { warnings: string[] });
        if (wait) await followDrain(context, sqwish, name, signal);
        else context.terminal.writeOut(`${name}: its replicas move away\n`);
      })
    );
  addExamples(command, ["client drain attic-pi", "client uncordon attic-pi"]);
}

export function addCordon(program: Command, context: CommandContext): void {
  addFlag(program, context, "cordon", true, "no new replicas on an agent; what runs there stays");
  addFlag(program, context, "uncordon", false, "let an agent take replicas again, also after a drain");
}

function addFlag(
  program: Command,
  context: CommandContext,
  verb: string,
  cordoned: boolean,
  words: string,
): void {
  const command = program.command(verb).description(words).argument("<agent>", "the agent's name")
    .action((name: string) =>
      withConnection(context, async (sqwish, signal) => {
        await sqwish.call("PUT", agentPath(name, "/cordon"), { cordoned }, { signal });
        const now = cordoned ? "takes no new replicas" : "takes replicas again";
        context.terminal.writeOut(`${name}: ${now}\n`);
      })
    );
  addExamples(command, [`client ${verb} attic-pi`]);
}

/** Resolves when nothing runs there any more. */
async function followDrain(
  context: CommandContext,
  sqwish: Sqwish,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  const { clock, terminal } = context;
  const progress = createProgress(terminal, clock);
  let most = 0;
  try {
    for (;;) {
      const { replicas, draining } = await readJson<AgentView>(sqwish, agentPath(name), signal);
      if (!draining) throw new SqwishError("conflict", `${name} is no longer drained: it was uncordoned`);
      if (replicas.length === 0) return progress.done(`${name}: drained, nothing runs there`);
      most = Math.max(most, replicas.length);
      progress.update(`${name}: ${counted(replicas.length, "replica")} left`, 1 - replicas.length / most);
      await pause(clock, pollMs, signal);
      if (signal.aborted) {
        throw new SqwishError("cancelled", `No longer following ${name}; the drain itself goes on`);
      }
    }
  } finally {
    progress.clear();
  }
}

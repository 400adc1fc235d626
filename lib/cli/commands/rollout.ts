/** `client rollout`: where a rollout stands, held, let go on, or taken back. Also `scale` and `delete`. */
import type { DeployView } from "../../protocol/deploy_views.ts";
import { InvalidArgumentError } from "commander";
import { addExamples, type Command, wholeNumber } from "../arguments.ts";
import { agentPath } from "./agents.ts";
import { followRollout } from "../follow_rollout.ts";
import { type CommandContext, saysWhenCancelled, tellWarnings, withConnection } from "./context.ts";
import { describeCount } from "../views.ts";

const deletable = new Set(["replicaset", "agent"]);

export function setPath(name: string, rest = ""): string {
  return `/v1/replicasets/${encodeURIComponent(name)}${rest}`;
}

/** An option's or argument's parser: a whole number or "all". */
export function replicaCount(text: string): number | "all" {
  if (text === "all") return "all";
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 1000) {
    throw new InvalidArgumentError('It must be a whole number from 0 to 1000, or "all".');
  }
  return value;
}

function scaleCount(text: string): number | "all" | "auto" {
  if (text === "auto") return text;
  try {
    return replicaCount(text);
  } catch {
    throw new InvalidArgumentError('It must be a whole number from 0 to 1000, "all" or "auto".');
  }
}

export function addRollout(program: Command, context: CommandContext): void {
  const rollout = program.command("rollout").description("follow a rollout, hold it, or take it back");
  addExamples(rollout, ["client rollout status images", "client rollout undo images --to 3"]);
  const status = rollout.command("status")
    .description("wait until the rollout has ended; exit code 1 when it failed")
    .argument("<name>", "replicaSet")
    .action((name: string) =>
      withConnection(context, (sqwish, signal) => followRollout(context, sqwish, { name }, signal))
    );
  addExamples(status, ["client rollout status images"]);
  addHold(
    rollout,
    context,
    "pause",
    "hold the rollout where it is: nothing more is moved until it is resumed",
  );
  addHold(rollout, context, "resume", "let a paused rollout go on");
  const undo = rollout.command("undo")
    .description("roll back to the newest revision before that did not fail, or to a given one")
    .argument("<name>", "replicaSet")
    .option("--to <revision>", "the revision to go back to", wholeNumber({ min: 1 }))
    .action((name: string, options: { to?: number }) =>
      withConnection(context, async (sqwish, signal) => {
        const asked = sqwish.call("POST", setPath(name, "/rollback"), { toRevision: options.to }, { signal });
        const words = `No longer waiting for the answer: ${name} may go back all the same; ` +
          `\`client rollout status ${name}\` shows it`;
        const answer = await saysWhenCancelled(asked, signal, words);
        const undone = answer.json as DeployView;
        tellWarnings(context, undone);
        const { revision } = undone;
        await followRollout(context, sqwish, { name, revision }, signal);
      })
    );
  addExamples(undo, ["client rollout undo images", "client rollout undo images --to 3"]);
}

function addHold(rollout: Command, context: CommandContext, verb: "pause" | "resume", words: string): void {
  const command = rollout.command(verb).description(words).argument("<name>", "replicaSet")
    .action((name: string) =>
      withConnection(context, async (sqwish, signal) => {
        await sqwish.call("POST", setPath(name, `/${verb}`), {}, { signal });
        context.terminal.writeOut(`${name}: the rollout is ${verb}d\n`);
      })
    );
  addExamples(command, [`client rollout ${verb} images`]);
}

export function addScale(program: Command, context: CommandContext): void {
  const command = program.command("scale")
    .description("change how many agents run a replicaSet")
    .argument("<name>", "replicaSet")
    .argument("<replicas>", 'a number, "all", or "auto" for what the specification says', scaleCount)
    .action((name: string, replicas: number | "all" | "auto") =>
      withConnection(context, async (sqwish, signal) => {
        const answer = await sqwish.call("PUT", setPath(name, "/replicas"), { replicas }, { signal });
        const many = replicas === "auto"
          ? "as many replicas as its specification says"
          : describeCount(replicas);
        context.terminal.writeOut(`${name}: ${many} wanted\n`);
        tellWarnings(context, answer.json as { warnings?: string[] });
      })
    );
  addExamples(command, ["client scale images 3", "client scale images all", "client scale images auto"]);
}

export function addDelete(program: Command, context: CommandContext): void {
  const command = program.command("delete")
    .description("remove replicaSets with all their revisions, or forget agents that never return")
    .usage("<replicaset...> | agent <name...>")
    .argument("<name...>", "replicaSets, or: agent and names of agents")
    .action((words: string[]) => {
      // A set may be called "agent", too: alone it is a name.
      const hasKind = words.length > 1 && deletable.has(words[0]);
      const path = hasKind && words[0] === "agent" ? agentPath : setPath;
      return withConnection(context, async (sqwish, signal) => {
        // One after the other, and no further after the first that fails.
        for (const name of hasKind ? words.slice(1) : words) {
          const answer = await sqwish.call("DELETE", path(name), undefined, { signal });
          const { accounts } = answer.json as { accounts?: string[] };
          const note = accounts?.length ? "; it can't sign in again" : "";
          context.terminal.writeOut(`${name}: deleted${note}\n`);
        }
      });
    });
  addExamples(command, [
    "client delete images",
    "client delete images texts",
    "client delete agent attic-pi",
  ]);
}

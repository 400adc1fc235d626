/**
 * `client deploy`: files → one deployment → its rollout, followed to the end. The manager builds and checks the
 * modules; here they are only collected, so that both sides agree on what belongs to a replicaSet.
 */
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { diffLines } from "../../deployment/difference.ts";
import { modulesRefused } from "../../deployment/module_errors.ts";
import {
  configurationRefused,
  parseReplicaSet,
  parseReplicaSetFile,
} from "../../deployment/specification.ts";
import { SqwishError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { DeployRequest, DeployView } from "../../protocol/deploy_views.ts";
import { addExamples, type Command, keyValue, UsageError } from "../arguments.ts";
import { printable } from "../tables.ts";
import { describeCount } from "../views.ts";
import { followRollout } from "../follow_rollout.ts";
import { type CommandContext, saysWhenCancelled, withConnection } from "./context.ts";
import { replicaCount } from "./rollout.ts";

interface Options {
  file?: string;
  name?: string;
  version?: string;
  replicas?: number | "all";
  label?: Record<string, string>;
  wait: boolean;
  force?: boolean;
  dryRun?: boolean;
}

export function addDeploy(program: Command, context: CommandContext): void {
  const command = program.command("deploy")
    .description("make a new revision of a replicaSet and follow its rollout")
    .argument("[path...]", "modules: files or folders")
    .option("-f, --file <file>", "everything from a file instead (one replicaSet, docs/configuration.md)")
    .option("--name <name>", "the replicaSet's name")
    .option("--version <version>", "your own word for this revision, e.g. 1.2.0")
    .option(
      "--replicas <count>",
      'on how many agents, or "all" (default: as many as it has, 1 when new)',
      replicaCount,
    )
    .option("--label <key=value>", "only on agents with this label; may be repeated", keyValue)
    .option("--no-wait", "don't follow the rollout")
    .option("--dry-run", "only print what would change")
    .option("--force", "also when it drops or narrows endpoints that were called in the last hour")
    .action((paths: string[], options: Options) => deploy(context, paths, options));
  addExamples(command, [
    "client deploy resize.ts --name images --version 1.2.0",
    "client deploy ./modules --name images --version 1.2.1 --replicas all --label arch=aarch64",
    "client deploy -f replicaset.jsonc",
    "client deploy -f replicaset.jsonc --dry-run",
    "client deploy -f replicaset.jsonc --version 1.3.0 --replicas 2",
  ]);
}

async function deploy(context: CommandContext, paths: string[], options: Options): Promise<void> {
  const request = {
    ...await readDeployment(paths, options),
    ...(options.force ? { force: true } : {}),
    ...(options.dryRun ? { dryRun: true } : {}),
    // A file says all there is to say; modules alone say nothing of the rest.
    ...(options.file === undefined ? { keepSettings: true } : {}),
    // What a person says now overrules what a person said before.
    ...(options.replicas === undefined ? {} : { rescale: true }),
  };
  const { name } = request.replicaSet;
  await withConnection(context, async (sqwish, signal) => {
    const asked = sqwish.call("POST", "/v1/replicasets", request, { signal });
    const answer = options.dryRun ? await asked : await saysWhenCancelled(
      asked,
      signal,
      `No longer waiting for the answer: ${name} may have been deployed all the same; ` +
        `\`client get revisions --replicaset ${name}\` shows it`,
    );
    const deployed = answer.json as DeployView;
    const { revision, changed } = deployed;
    if (options.dryRun && changed) return tellDryRun(context, deployed);
    if (!changed) {
      const { rescaled } = deployed;
      const scale = rescaled === undefined ? "" : `, but the scale ends: ${describeCount(rescaled)} wanted`;
      context.terminal.writeOut(`${name}: nothing has changed since revision ${revision}${scale}\n`);
      tellKept(context, deployed);
      return;
    }
    context.terminal.writeOut(`${name}: revision ${revision}\n`);
    tellKept(context, deployed);
    if (options.wait) await followRollout(context, sqwish, { name, revision }, signal);
  });
}

function tellKept({ terminal }: CommandContext, { replicaSet, keeps, keptSettings }: DeployView): void {
  if (keptSettings !== undefined) {
    const { names, revision } = keptSettings;
    terminal.writeOut(
      `${replicaSet}: keeps ${
        names.join(", ")
      } of revision ${revision}; deploy a file with -f to change them\n`,
    );
  }
  if (keeps === undefined) return;
  terminal.writeOut(
    `${replicaSet}: keeps ${
      describeCount(keeps)
    }; --replicas or \`client scale ${replicaSet}\` changes that\n`,
  );
}

/** Throws `conflict` when it would be refused. */
function tellDryRun(context: CommandContext, deployed: DeployView): void {
  const { terminal } = context;
  const { replicaSet, revision, changes, refusal } = deployed;
  const lines = diffLines(changes ?? []).map((line) => `${printable(line)}\n`);
  const what = revision === 0
    ? "new"
    : lines.length === 0
    ? `a new revision, the same as revision ${revision}`
    : `after revision ${revision}`;
  terminal.writeOut(`${replicaSet}: ${what}\n${lines.join("")}`);
  tellKept(context, deployed);
  if (refusal !== undefined) throw new SqwishError("conflict", `It would be refused: ${refusal}`);
}

/** Everything the deployment carries. Throws `UsageError` or `invalid_request`, with every error in `details.errors`. */
async function readDeployment(paths: string[], options: Options): Promise<DeployRequest> {
  const given = await settings(paths, options);
  const checked = parseReplicaSet(given.replicaSet);
  if (!checked.ok) throw configurationRefused("The replicaSet", checked.errors, options.file);
  const { name, version } = checked.replicaSet;
  // What reads TypeScript is larger than the rest of this program, and no other command needs it.
  const { collectModules } = await import("../../deployment/collect.ts");
  const collected = await collectModules(given.modules, { baseFolder: given.baseFolder });
  if (!collected.ok) throw modulesRefused(name, collected.errors);
  const modules = collected.modules.map(({ path, entry, bytes }) => ({
    path,
    entry,
    base64: Buffer.from(bytes).toString("base64"),
  }));
  const bytes = modules.reduce((sum, { base64 }) => sum + base64.length, 0);
  if (bytes > limits.bodyBytesMax) {
    throw new SqwishError(
      "too_large",
      `A deployment takes at most ${limits.bodyBytesMax} bytes of modules in base64, ${name} has ${bytes}; ` +
        "name large sets in the manager's configuration file",
    );
  }
  return { replicaSet: { ...given.replicaSet, name, version }, modules };
}

interface Given {
  replicaSet: Record<string, unknown>;
  modules: string[];
  baseFolder: string;
}

/** From the file, with what is said on the command line in its place; from the command line alone otherwise. */
async function settings(paths: string[], options: Options): Promise<Given> {
  const said = {
    ...(options.name !== undefined && { name: options.name }),
    ...(options.version !== undefined && { version: options.version }),
    ...(options.replicas !== undefined && { replicas: options.replicas }),
    ...(options.label !== undefined && { placement: options.label }),
  };
  if (options.file === undefined) {
    if (paths.length === 0) throw new UsageError("deploy needs the modules' files or folders, or -f FILE");
    if (options.name === undefined) throw new UsageError("deploy needs --name, the replicaSet's name");
    if (options.version === undefined) throw new UsageError("deploy needs --version, e.g. --version 1.0.0");
    return { replicaSet: said, modules: paths, baseFolder: "." };
  }
  if (paths.length > 0) {
    throw new UsageError("deploy takes modules from -f FILE or from the command line, not both");
  }
  const parsed = parseReplicaSetFile(await readText(options.file));
  if (!parsed.ok) throw configurationRefused(options.file, parsed.errors, options.file);
  const { modules, ...replicaSet } = parsed.replicaSet;
  return { replicaSet: { ...replicaSet, ...said }, modules, baseFolder: dirname(resolve(options.file)) };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new SqwishError("invalid_request", `The file ${path} can't be read`, { cause });
  }
}

/** The agent's command line: arguments and signals around `createAgent`. */
import { lockDataFolder } from "./data_lock.ts";
import {
  type AgentIdentity,
  agentNameOf,
  identityFromToken,
  nameProblem,
  readIdentity,
  removeIdentity,
  writeIdentity,
} from "./identity.ts";
import { type AgentMachine, readMachine } from "./machine.ts";
import { workInBatches } from "./scheduling_policy.ts";
import { createProgram, keyValue, runProgram, UsageError, wholeNumber } from "../cli/arguments.ts";
import { createSystemClock } from "../clock.ts";
import { SqwishError } from "../errors.ts";
import { createLog } from "../log.ts";
import { createSystemRandom, type Random } from "../random.ts";
import { keepMemorySmall } from "../spare_memory.ts";
import { version } from "../version.ts";
import { createAgent } from "./agent.ts";

interface AgentArguments {
  join?: string;
  name?: string;
  label?: Record<string, string>;
  concurrency?: number;
  data: string;
  verbose?: boolean;
}

/** The identity to join with: the token's, or `known`, which the data folder remembers. */
function resolveIdentity(
  options: AgentArguments,
  known: AgentIdentity | undefined,
  machine: AgentMachine,
  random: Random,
): AgentIdentity {
  const problem = options.name === undefined ? undefined : nameProblem(options.name);
  if (problem !== undefined) throw new UsageError(`--name ${problem}`);
  const name = options.name ?? known?.name ?? agentNameOf(machine.hostname);
  const labels = options.label ?? known?.labels;
  const concurrency = options.concurrency ?? known?.concurrency;
  const settings = { ...(labels ? { labels } : {}), ...(concurrency === undefined ? {} : { concurrency }) };
  if (options.join !== undefined) {
    return { ...identityFromToken(options.join, { name, known, random }), ...settings };
  }
  if (known === undefined) {
    throw new UsageError(
      `nothing is known of a cluster in ${options.data}; join one with --join TOKEN (the manager prints it, and \`manager token agent\`)`,
    );
  }
  return { ...known, name, ...settings };
}

async function runAgent(options: AgentArguments, mainModule: string): Promise<void> {
  trustNoPublicAuthority();
  workInBatches();
  const clock = createSystemClock();
  const random = createSystemRandom();
  const machine = readMachine();
  const log = createLog({
    clock,
    write: (line) => console.error(line),
    level: options.verbose ? "debug" : "info",
  });
  const known = await readIdentity(options.data);
  const identity = resolveIdentity(options, known, machine, random);
  await lockDataFolder(options.data, clock);
  // Before the join: a token for one use must not be spent on an identity that can't be kept.
  await writeIdentity(options.data, identity);
  const agent = await createAgent({
    clock,
    random,
    log,
    machine,
    mainModule,
    dataFolder: options.data,
    identity,
    labels: identity.labels ?? {},
    concurrency: identity.concurrency,
  });
  keepMemorySmall({ clock, log });
  const stopped = Promise.withResolvers<string>();
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM"];
  let asked = false;
  for (const signal of signals) {
    Deno.addSignalListener(signal, () => {
      // Asked twice: whatever takes so long is not waited for.
      if (asked) Deno.exit(1);
      asked = true;
      stopped.resolve(`stopped by ${signal}`);
    });
  }
  const ending = await Promise.race([stopped.promise, agent.membership.refused]);
  if (!(ending instanceof SqwishError)) log.info("stopping", { reason: ending });
  await agent.close(ending instanceof SqwishError ? "refused" : ending);
  if (!(ending instanceof SqwishError)) return;
  if (known) await writeIdentity(options.data, known);
  else await removeIdentity(options.data);
  throw ending;
}

/** Runs one command line of the agent; resolves with the exit code. */
export async function main(argv: string[], mainModule: string): Promise<number> {
  const program = createProgram({
    name: "agent",
    description: "Joins a Sqwish cluster and runs its modules on this machine.",
    version,
    examples: [
      "agent --join sqwish1_…             join a cluster; the manager prints this line",
      "agent                              join the same cluster again",
      "agent --join sqwish1_… --name pi-1 --label zone=attic --concurrency 8",
    ],
  })
    .option("--join <token>", "join token of the cluster; needed once")
    .option("--name <name>", "name of this agent in the cluster (default: the host's name)")
    .option(
      "--label <key=value>",
      "label for placement; may be given several times (default: those of the last start)",
      keyValue,
    )
    .option(
      "--concurrency <number>",
      "requests at once per replica (default: as of the last start, or found out by itself)",
      wholeNumber({ min: 1, max: 10_000 }),
    )
    .option("--data <folder>", "where the agent keeps its identity and modules", "./sqwish-agent")
    .option("--verbose", "log more")
    .action((options: AgentArguments) => runAgent(options, mainModule));
  return await runProgram(program, argv, { showCodes: true });
}

/**
 * Leaves the cluster's own authority as the only one that counts; must run before the first use of TLS. Deno 2.7 then
 * refuses the unverified connection that a first join needs; there the manager's fixed server name, for which no public
 * authority can issue, is what holds others off.
 */
function trustNoPublicAuthority(): void {
  if (!Deno.version.deno.startsWith("2.7.")) Deno.env.set("DENO_TLS_CA_STORE", "");
}

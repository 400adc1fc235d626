/**
 * The agent: joins a cluster and runs its modules in runner processes.
 * `createAgent(deps)` is the whole program without its command line; `main()` reads arguments and signals.
 */
import { AgentLogs } from "./lib/agent/agent_logs.ts";
import {
  type AgentIdentity,
  agentNameOf,
  identityFromToken,
  nameProblem,
  readIdentity,
  removeIdentity,
  writeIdentity,
} from "./lib/agent/identity.ts";
import { type AgentMachine, readMachine } from "./lib/agent/machine.ts";
import { keepMembership, type Membership } from "./lib/agent/membership.ts";
import { openSession } from "./lib/agent/session.ts";
import { UpstreamCalls } from "./lib/agent/upstream.ts";
import { createProgram, keyValue, runProgram, UsageError, wholeNumber } from "./lib/cli/arguments.ts";
import { type Clock, createSystemClock } from "./lib/clock.ts";
import { SqwishError } from "./lib/errors.ts";
import { runnerCommandFor } from "./lib/hosting/host.ts";
import { createHosting } from "./lib/hosting/hosting.ts";
import { runnerMain } from "./lib/hosting/runner.ts";
import { createLog, type Log } from "./lib/log.ts";
import { Collector } from "./lib/metrics/collect.ts";
import { createHostSampler } from "./lib/metrics/host_sampler.ts";
import { createProcessMeter } from "./lib/metrics/process_meter.ts";
import { type AgentHello, protocolVersion } from "./lib/protocol/messages.ts";
import { createSystemRandom, type Random } from "./lib/random.ts";
import { version } from "./lib/version.ts";

export interface AgentDeps {
  clock: Clock;
  random: Random;
  log: Log;
  machine: AgentMachine;
  dataFolder: string;
  identity: AgentIdentity;
  /** From `--label`; what the machine gives itself wins. */
  labels: Record<string, string>;
  concurrency?: number;
}

export interface Agent {
  readonly membership: Membership;
  /** Leaves the cluster and ends every runner. */
  close(message: string): Promise<void>;
}

/** Opens the module cache and starts dialling. Rejects when the data folder can't be written. */
export async function createAgent(deps: AgentDeps): Promise<Agent> {
  const { clock, random, log, machine, identity } = deps;
  const calls = new UpstreamCalls();
  const collector = new Collector();
  const logs = new AgentLogs(log);
  const host = createHostSampler({ cores: machine.cores });
  const readUse = createProcessMeter(clock);
  const hosting = await createHosting({
    dataFolder: deps.dataFolder,
    clock,
    random,
    log,
    cores: machine.cores,
    concurrency: deps.concurrency,
    runnerCommand: runnerCommandFor(import.meta.url),
    fetchModule: (sha256) => calls.fetchModule(sha256),
    onState: () => membership?.session?.sendState(),
    onLogLine: (line) => logs.push(line),
    observe: (run) => collector.observe(run),
    upstream: calls,
  });
  const hello = (enroll: boolean): AgentHello => ({
    type: "hello",
    role: "agent",
    protocol: protocolVersion,
    version,
    name: identity.name,
    identity: identity.identity,
    labels: { ...deps.labels, ...machine.labels },
    cores: machine.cores,
    memoryBytes: machine.memoryBytes,
    ...(deps.concurrency === undefined ? {} : { concurrency: deps.concurrency }),
    enroll,
    replicas: hosting.reports(),
  });
  const membership = keepMembership({
    identity,
    clock,
    random,
    log,
    store: (changed) => writeIdentity(deps.dataFolder, changed),
    openSession: (channel, enroll, onWelcome) =>
      openSession({
        clock,
        channel,
        hello: hello(enroll),
        hosting,
        calls,
        telemetry: () => {
          const use = readUse();
          return {
            host: host.sample(),
            agentCpuCores: use.cpuCores,
            agentMemoryBytes: use.memoryBytes,
            replicas: hosting.samples(),
            endpoints: collector.take(),
          };
        },
        takeLogs: () => logs.take(),
        onWelcome,
      }),
  });
  return {
    membership,
    async close(message) {
      await membership.leave(message);
      await hosting.close();
    },
  };
}

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
  if (options.join !== undefined) return identityFromToken(options.join, { name, known, random });
  if (known === undefined) {
    throw new UsageError(
      `nothing is known of a cluster in ${options.data}; join one with --join TOKEN (the manager prints it, and \`manager token agent\`)`,
    );
  }
  return { ...known, name };
}

async function runAgent(options: AgentArguments): Promise<void> {
  // Trust the cluster's own authority and nothing else; must be set before the first use of TLS.
  Deno.env.set("DENO_TLS_CA_STORE", "");
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
  // Before the join: a token for one use must not be spent on an identity that can't be kept.
  await writeIdentity(options.data, identity);
  const agent = await createAgent({
    clock,
    random,
    log,
    machine,
    dataFolder: options.data,
    identity,
    labels: options.label ?? {},
    concurrency: options.concurrency,
  });
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
  await agent.close(ending instanceof SqwishError ? "refused" : ending);
  if (!(ending instanceof SqwishError)) return;
  if (known) await writeIdentity(options.data, known);
  else await removeIdentity(options.data);
  throw ending;
}

async function main(argv: string[]): Promise<number> {
  if (argv[0] === "runner") return await runnerMain();
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
    .option("--label <key=value>", "label for placement; may be given several times", keyValue)
    .option(
      "--concurrency <number>",
      "requests at once per replica (default: the core count)",
      wholeNumber({ min: 1, max: 10_000 }),
    )
    .option("--data <folder>", "where the agent keeps its identity and modules", "./sqwish-agent")
    .option("--verbose", "log more")
    .action((options: AgentArguments) => runAgent(options));
  return await runProgram(program, argv, { showCodes: true });
}

if (import.meta.main) Deno.exit(await main(Deno.args));

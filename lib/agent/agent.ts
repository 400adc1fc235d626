/**
 * An agent put together: hosting with its runners, what it measures, and its membership in a cluster. The hosting outlives
 * every connection to the manager.
 */
import { AgentLogs } from "./agent_logs.ts";
import { type AgentIdentity, writeIdentity } from "./identity.ts";
import { type AgentMachine } from "./machine.ts";
import { keepMembership, type Membership } from "./membership.ts";
import { openSession } from "./session.ts";
import { UpstreamCalls } from "./upstream.ts";
import { type Clock } from "../clock.ts";
import { runnerCommandFor } from "../hosting/host.ts";
import { createHosting } from "../hosting/hosting.ts";
import { limits } from "../limits.ts";
import { type Log } from "../log.ts";
import { Collector } from "../metrics/collect.ts";
import { createHostSampler } from "../metrics/host_sampler.ts";
import { createProcessMeter } from "../metrics/process_meter.ts";
import { type AgentHello, protocolVersion } from "../protocol/messages.ts";
import { type Random } from "../random.ts";
import { version } from "../version.ts";

export interface AgentDeps {
  clock: Clock;
  random: Random;
  log: Log;
  machine: AgentMachine;
  /** The program's own main module, which a runner is started with. */
  mainModule: string;
  dataFolder: string;
  identity: AgentIdentity;
  /** From `--label`; what the machine gives itself wins. */
  labels: Record<string, string>;
  concurrency?: number;
}

export interface Agent {
  readonly membership: Membership;
  /** Takes nothing new, lets what runs end within `limits.drainMsMax`, ends every runner and leaves the cluster. */
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
    runnerCommand: runnerCommandFor(deps.mainModule),
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
    close: (message) => membership.leave(message, () => hosting.close(limits.drainMsMax)),
  };
}

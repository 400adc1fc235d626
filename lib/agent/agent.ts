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
import type { Network } from "../client/dialer.ts";
import { type Clock } from "../clock.ts";
import { runnerCommandFor } from "../hosting/host.ts";
import {
  createHosting,
  type Hosting,
  type HostingOptions,
  type HostingSettings,
} from "../hosting/hosting.ts";
import { limits } from "../limits.ts";
import { type Log } from "../log.ts";
import { Collector } from "../metrics/collect.ts";
import { createHostSampler } from "../metrics/host_sampler.ts";
import { createProcessMeter } from "../metrics/process_meter.ts";
import { type AgentHello, type HostSample, protocolVersion } from "../protocol/messages.ts";
import { type Random } from "../random.ts";
import { version } from "../version.ts";

/** What an agent is told about itself. */
export interface AgentFacts {
  clock: Clock;
  random: Random;
  log: Log;
  machine: AgentMachine;
  identity: AgentIdentity;
  /** From `--label`; what the machine gives itself wins. */
  labels: Record<string, string>;
  concurrency?: number;
}

export interface AgentDeps extends AgentFacts {
  /** The program's own main module, which a runner is started with. */
  mainModule: string;
  dataFolder: string;
}

/** What an agent stands on: its disk, its processes, its network. */
export interface AgentGround {
  openHosting(settings: HostingSettings, fetchModule: HostingOptions["fetchModule"]): Promise<Hosting>;
  sampleHost(): HostSample;
  readUse: ReturnType<typeof createProcessMeter>;
  storeIdentity(identity: AgentIdentity): Promise<void>;
  /** The real one unless given. */
  network?: Network;
}

export interface Agent {
  readonly membership: Membership;
  readonly hosting: Hosting;
  /** Requests of its modules, and downloads, that wait for the manager's answer. */
  readonly pendingCalls: number;
  /** Takes nothing new, lets what runs end within `limits.drainMsMax`, ends every runner and leaves the cluster. */
  close(message: string): Promise<void>;
}

/** An agent on this machine: opens the module cache and starts dialling. Rejects when the data folder can't be written. */
export function createAgent(deps: AgentDeps): Promise<Agent> {
  const { dataFolder } = deps;
  const host = createHostSampler({ cores: deps.machine.cores });
  return createAgentOn(deps, {
    openHosting: (settings, fetchModule) =>
      createHosting({
        ...settings,
        fetchModule,
        dataFolder,
        runnerCommand: runnerCommandFor(deps.mainModule),
      }),
    sampleHost: () => host.sample(),
    readUse: createProcessMeter(deps.clock),
    storeIdentity: (changed) => writeIdentity(dataFolder, changed),
  });
}

/** The same on another ground. */
export async function createAgentOn(facts: AgentFacts, ground: AgentGround): Promise<Agent> {
  const { clock, random, log, machine, identity } = facts;
  const calls = new UpstreamCalls();
  const collector = new Collector();
  const logs = new AgentLogs(log);
  const hosting = await ground.openHosting({
    clock,
    random,
    log,
    cores: machine.cores,
    concurrency: facts.concurrency,
    onState: () => membership?.session?.sendState(),
    onLogLine: (line) => logs.push(line),
    observe: (run) => collector.observe(run),
    upstream: calls,
  }, (sha256) => calls.fetchModule(sha256));
  const hello = (enroll: boolean): AgentHello => ({
    type: "hello",
    role: "agent",
    protocol: protocolVersion,
    version,
    name: identity.name,
    identity: identity.identity,
    labels: { ...facts.labels, ...machine.labels },
    cores: machine.cores,
    memoryBytes: machine.memoryBytes,
    ...(facts.concurrency === undefined ? {} : { concurrency: facts.concurrency }),
    enroll,
    replicas: hosting.reports(),
  });
  const membership = keepMembership({
    identity,
    clock,
    random,
    log,
    network: ground.network,
    store: ground.storeIdentity,
    openSession: (channel, enroll, onWelcome) =>
      openSession({
        clock,
        channel,
        hello: hello(enroll),
        hosting,
        calls,
        telemetry: () => {
          const use = ground.readUse();
          return {
            host: ground.sampleHost(),
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
    hosting,
    get pendingCalls() {
      return calls.size;
    },
    close: (message) => membership.leave(message, () => hosting.close(limits.drainMsMax)),
  };
}

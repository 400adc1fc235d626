/**
 * Many agents in one process, each with its own connection and all that an agent says, but without runners: what the
 * manager wants is at once ready, and nothing runs. `perSecond` runs of each endpoint are told, though, when asked for.
 */
import { createAgentOn } from "../../../lib/agent/agent.ts";
import { identityFromToken } from "../../../lib/agent/identity.ts";
import { readMachine } from "../../../lib/agent/machine.ts";
import { createSystemClock } from "../../../lib/clock.ts";
import type { Hosting, HostingSettings } from "../../../lib/hosting/hosting.ts";
import { silentLog } from "../../../lib/log.ts";
import { createHostSampler } from "../../../lib/metrics/host_sampler.ts";
import { createProcessMeter } from "../../../lib/metrics/process_meter.ts";
import type { Desired, ReplicaReport, ReplicaSample } from "../../../lib/protocol/messages.ts";
import { createSeededRandom, createSystemRandom } from "../../../lib/random.ts";

export interface AgentsJob {
  token: string;
  /** Where the manager is to be reached instead of where the token says. */
  address: string;
  count: number;
  /** Functions that the module of each set exports. */
  functions: string[];
  /** Runs of each endpoint that an agent tells of each second. */
  perSecond: number;
}

const clock = createSystemClock();
const runs = createSeededRandom(1);

/** All replicas are ready from the moment they are wanted. */
class ReadyHosting implements Hosting {
  readonly #job: AgentsJob;
  readonly #settings: HostingSettings;
  #desired: Desired = { type: "desired", generation: 0, replicas: [] };

  constructor(job: AgentsJob, settings: HostingSettings) {
    this.#job = job;
    this.#settings = settings;
  }

  get generation(): number {
    return this.#desired.generation;
  }

  apply(desired: Desired): void {
    this.#desired = desired;
  }

  reports(): ReplicaReport[] {
    const endpoints = this.#job.functions.map((name) => ({ name, stream: false }));
    return this.#desired.replicas.map(({ handle, replicaSet, revision }) => ({
      ...{ handle, replicaSet, revision, state: "ready", slots: 4, endpoints },
    }));
  }

  /** Is asked once for each telemetry, before what ran is. */
  samples(): ReplicaSample[] {
    for (const { replicaSet, revision } of this.#desired.replicas) {
      for (const [at, name] of this.#job.functions.entries()) {
        this.#observe(`${replicaSet}/${name}`, revision, at);
      }
    }
    return this.#desired.replicas.map(({ handle }) => ({
      ...{ handle, outstanding: 0, runners: 1, cpuCores: 0.001, memoryBytes: 45_000_000, restarts: 0 },
    }));
  }

  #observe(endpoint: string, revision: number, at: number): void {
    for (let run = 0; run < this.#job.perSecond; run++) {
      const runUs = (at + 1) * 5000 * (0.5 + runs.next());
      this.#settings.observe({ endpoint, revision, runUs, failed: false });
    }
  }

  request(): void {
    throw new Error("No request must reach an agent that runs nothing");
  }
  cancel(): void {}
  credit(): void {}
  resume(): void {}
  forget(): void {}
  close(): Promise<void> {
    return Promise.resolve();
  }
}

const job: AgentsJob = JSON.parse(Deno.args[0]);
const host = createHostSampler({ cores: navigator.hardwareConcurrency });
const random = createSystemRandom();
for (let at = 0; at < job.count; at++) {
  const name = `agent-${at}`;
  const identity = { ...identityFromToken(job.token, { name, random }), addresses: [job.address] };
  await createAgentOn({ clock, random, log: silentLog, machine: readMachine(), identity, labels: {} }, {
    openHosting: (settings) => Promise.resolve(new ReadyHosting(job, settings)),
    sampleHost: () => host.sample(),
    readUse: createProcessMeter(clock),
    storeIdentity: () => Promise.resolve(),
  });
}
console.log("ready");
